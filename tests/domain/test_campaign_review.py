"""What is wrong, or hardly meant, in a campaign of which each value is good; see also `bad_input/mistakes.yaml`."""

import pickle
from datetime import timedelta

import pytest

from builders import campaign, sender
from twilio_campaigns.domain.campaign import AudienceRules, Campaign, Message, SqlSegment
from twilio_campaigns.domain.campaign_advice import advice_on, advice_on_senders
from twilio_campaigns.domain.campaign_mistakes import mistakes_of
from twilio_campaigns.domain.exceptions import CampaignFileError
from twilio_campaigns.domain.file_problems import Finding
from twilio_campaigns.domain.template import always_written, needed_variables


def mistakes(**changes):
    return [what for _, what, _ in mistakes_of(campaign(**changes))]


def advice(**changes):
    return [".".join(map(str, path)) for path, _, _ in advice_on(campaign(**changes))]


class TestBodies:
    @pytest.mark.parametrize(
        ("body", "most", "found"),
        [
            ("x" * 1530, 10, 0),
            ("x" * 1531, 10, 1),
            ("x" * 1601, 24, 1),
            ("☀" * 70, 1, 0),
            ("☀" * 71, 1, 1),
            ("{% if vip %}" + "x" * 1600 + "{% endif %}", 10, 0),  # not for everybody
            ("x" * 153 + "{{ a }}" + "x" * 8, 1, 1),
            ("{{ a }}", 1, 0),
            ("{# " + "x" * 5000 + " #}{{ a }}", 1, 0),
        ],
    )
    def test_what_stands_in_every_message_counts(self, body, most, found):
        rules = AudienceRules(default_region="US", max_parts=most)
        assert len(mistakes(message=Message(body=body), audience=rules)) == found

    def test_parts_of_an_mms_do_not_count(self):
        pictures = {"sender": sender(channel="mms"), "audience": AudienceRules(max_parts=1)}
        assert mistakes(message=Message(body="x" * 1600, media_urls=("https://example.com/a.jpg",)), **pictures) == []

    def test_a_spec_that_was_frozen_is_read_back_all_the_same(self):
        frozen = campaign(message=Message(body="x" * 2000), segment=SqlSegment(query="delete from crm.people"))
        assert len(list(mistakes_of(frozen))) == 2
        assert Campaign.model_validate(frozen.model_dump(mode="json")) == frozen


class TestQueries:
    @pytest.mark.parametrize(
        "query",
        [
            "select 1",
            "with a as (select 1) select * from a",
            "(select 1) union (select 2)",
            "-- delete\nselect 1",
            "/* drop\n table */ values (1)",
            "table people",
            "updates_of_today()",
            "",
        ],
    )
    def test_what_reads_is_a_segment(self, query):
        assert mistakes(segment=SqlSegment(query=query or " x")) == []

    @pytest.mark.parametrize(
        "query", ["DELETE from a", " -- x\n/* y */ (insert into a", "truncate a", "Update a set b = 1"]
    )
    def test_what_changes_something_is_none(self, query):
        (what,) = mistakes(segment=SqlSegment(query=query))
        assert "Write a SELECT" in what

    @pytest.mark.parametrize(
        ("query", "found"),
        [("select '{{ ds }}'", 1), ("select {% if x %}1{% endif %}", 1), ("select '{{1,2},{3,4}}'::int[]", 0)],
    )
    def test_templates_in_a_query_are_advised_against(self, query, found):
        assert len(advice(segment=SqlSegment(query=query))) == found


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://example.com/a.jpg", 0),
        ("https://93.184.215.14/a.jpg", 0),
        ("https://cdn.example.com.:8443/a.jpg", 0),
        ("https://example.com/{{ a }}.jpg", 0),
        ("http://localhost/a.jpg", 1),
        ("http://media/a.jpg", 1),
        ("http://media.internal/a.jpg", 1),
        ("http://10.0.0.4/a.jpg", 1),
        ("http://[::1]/a.jpg", 1),
    ],
)
def test_media_have_to_be_where_twilio_can_fetch_them(url, found):
    assert len(mistakes(sender=sender(channel="mms"), message=Message(body="x", media_urls=(url,)))) == found


class TestSchedules:
    @pytest.mark.parametrize(
        ("schedule", "zone", "found"),
        [
            ("0 9 * * 1", "UTC", []),
            ("0 8 * * 1", "Europe/Berlin", []),
            ("59 20 * * 1", "Asia/Kolkata", []),
            ("0 21 * * 1", "UTC", ["schedule"]),
            ("59 7 * * 1", "America/New_York", ["schedule"]),
            ("@weekly", "UTC", ["schedule"]),  # midnight
            ("@quarterly", "UTC", ["schedule"]),
            ("@hourly", "UTC", ["schedule", "schedule"]),  # the night, and repeat_after
            ("0 8,20 * * *", "UTC", ["schedule"]),  # twelve hours apart: most texts of a run are younger than that
            ("0 7,20 * * *", "UTC", ["schedule", "schedule"]),
            ("0 8 * * *", "UTC", []),
            ("0 9,19 * * *", "UTC", ["schedule"]),
            (None, "UTC", []),
        ],
    )
    def test_nights_and_runs_in_one_anothers_way_are_said(self, schedule, zone, found):
        assert advice(schedule=schedule, timezone=zone) == found

    def test_whoever_wants_each_run_lowers_repeat_after(self):
        assert advice(schedule="0 9,12 * * *", repeat_after=timedelta(hours=2)) == []


class TestTexts:
    @pytest.mark.parametrize(
        ("body", "found"),
        [
            ("Hi {name}", 1),
            ("Hi { name }", 1),
            ("Hi %NAME%", 1),
            ("Hi ${name}", 1),
            ("Hi {{ name }}", 0),
            ("{% if a %}x{% endif %}", 0),
            ("20 % off, 30 % on", 0),
            ("{1}", 0),
            ("see bit.ly/abc", 1),
            ("see https://TinyURL.com/abc", 1),
            ("see https://rabbit.ly/abc", 0),
            ("see https://example.com/t.co/", 0),
        ],
    )
    def test_braces_and_shorteners(self, body, found):
        assert len(advice(message=Message(body=body))) == found

    def test_the_line_of_the_text_is_told(self):
        (found,) = advice_on(campaign(message=Message(body="one\ntwo\nHi {name}")))
        assert found[2] == 3


class TestTemplates:
    def test_what_everybody_gets(self):
        assert always_written("a{{ b }}c{% if d %}e{% endif %}{# f #}g\n") == "acg"

    @pytest.mark.parametrize(
        ("source", "needed"),
        [
            ("{{ a }} {{ b.c }}\n{{ d | upper }}", {"a": 1, "b": 1, "d": 2}),
            ("{{ a | default('x') }}{{ b | d('y') }}", {}),
            ("{% if a is defined %}{{ a }}{% endif %}", {}),
            ("{% if a %}{{ b }}{% endif %}", {"a": 1, "b": 1}),
            ("{% for x in xs %}{{ x }}{{ loop.index }}{% endfor %}", {"xs": 1}),
            ("{% set a = b %}{{ a }}", {"b": 1}),
        ],
    )
    def test_what_a_row_has_to_have(self, source, needed):
        assert needed_variables(source) == needed


class TestSenders:
    def test_each_sender_has_one_profile(self):
        profiles = {"a": sender(), "b": sender(), "c": sender(messaging_service_sid="MG" + "1" * 32)}
        assert [path for path, _, _ in advice_on_senders(profiles)] == [("b", "messaging_service_sid")]

    @pytest.mark.parametrize(("number", "found"), [("+15005550006", 0), ("+120255501", 1), ("12345", 0), ("ACME", 0)])
    def test_numbers_have_the_digits_of_their_country(self, number, found):
        profile = sender(messaging_service_sid=None, from_number=number)
        assert len(list(advice_on_senders({"a": profile}))) == found


def test_a_finding_is_a_line_and_survives_its_way_between_processes():
    finding = Finding("a.yaml", 3, "message.body", "it is wrong. Mend it.", advice=True)
    assert finding == "a.yaml:3: message.body: it is wrong. Mend it."
    (again,) = pickle.loads(pickle.dumps(CampaignFileError(finding))).problems  # noqa: S301
    assert (again, again.as_json()) == (finding, finding.as_json())
    assert Finding("a.yaml", None, "", "x.") == "a.yaml: x."
