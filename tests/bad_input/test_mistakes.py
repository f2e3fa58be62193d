"""Every mistake of the table is found, at its place, with what is wrong and what to do, and nothing else is said."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bad_input.checks import assert_clear
from bad_input.mistakes import FILES, Mistake, mistakes
from twilio_campaigns.cli import app

MISTAKES = mistakes()


def validate(include, *words):
    return CliRunner().invoke(app, ["validate", "--include", str(include), *words])


@pytest.fixture
def include(tmp_path, monkeypatch):
    # Paths are named as they are opened from the current folder.
    monkeypatch.chdir(tmp_path)
    return tmp_path / "include"


@pytest.mark.parametrize("mistake", [pytest.param(mistake, id=mistake.title) for mistake in MISTAKES])
def test_it_is_found_and_nothing_else(include, mistake):
    mistake.write(include)
    result = validate(include)
    lines = [line for line in result.stderr.splitlines() if line.startswith(f"include/{mistake.at}: ")]
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith(f"include/{mistake.at}: {mistake.says[0]}")
    for part in mistake.says:
        assert part in lines[0]
    assert result.exit_code == (0 if mistake.advice else 1)
    assert_clear(lines[0].replace("2025550", ""))
    others = set(result.stderr.splitlines()) - set(lines)
    # The broken senders.yaml and the other one of two same names are named as well.
    assert all(line.startswith("include/campaigns/spring.yaml:1: ") for line in others), others
    assert bool(others) <= (mistake.at.startswith("senders.yaml") or "eu/" in mistake.at)


def test_there_are_enough_of_them_and_each_is_one_of_a_kind():
    assert len(MISTAKES) >= 60
    assert len({mistake.title for mistake in MISTAKES}) == len(MISTAKES)
    assert len({mistake.says for mistake in MISTAKES}) == len(MISTAKES)


def test_the_good_files_are_good(include):
    Mistake("", "", "# nothing", "campaigns/spring.yaml", ()).write(include)
    result = validate(include)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "spring: ok\n", "")
    assert set(FILES) == {path.relative_to(include).as_posix() for path in include.rglob("*") if path.is_file()}


class TestTheCommand:
    def test_json_gives_the_parts(self, include):
        next(mistake for mistake in MISTAKES if mistake.title == "A time zone that is none").write(include)
        result = validate(include, "--format", "json")
        assert (result.exit_code, result.stderr) == (1, "")
        assert json.loads(result.stdout) == {
            "campaigns": [],
            "problems": [
                {
                    "file": "include/campaigns/spring.yaml",
                    "line": 9,
                    "field": "timezone",
                    "message": "'Europe/Berlim' is not an IANA time zone. Did you mean 'Europe/Berlin'?",
                    "severity": "error",
                }
            ],
        }

    def test_advice_is_an_error_to_whoever_is_strict(self, include):
        next(mistake for mistake in MISTAKES if mistake.title == "Texts in the night").write(include)
        lenient, strict = validate(include), validate(include, "--strict")
        assert (lenient.exit_code, lenient.stdout) == (0, "spring: ok\n")
        assert (strict.exit_code, strict.stdout) == (1, "")
        assert lenient.stderr == strict.stderr

    def test_a_file_that_another_job_writes_later_may_be_missing(self, include):
        Mistake("", "", "# nothing", "campaigns/spring.yaml", ()).write(include)
        (include / "segments" / "vip.csv").unlink()
        assert "use --no-data" in validate(include).stderr
        assert validate(include, "--no-data").exit_code == 0

    @pytest.mark.parametrize(
        ("text", "line", "says"),
        [
            (FILES["segments/vip.csv"] + "c2,+12025550102\n", 3, "the row has 2 values"),
            ("", None, "segments/vip.csv is empty"),
            ("customer_id,phone,phone\n", None, "segments/vip.csv has column 'phone' twice"),
            ("customer_id,mobile,first_name\n", None, "segments/vip.csv has no column 'phone'"),
            (None, None, "'segments/vip.csv' does not exist below include/"),
        ],
    )
    def test_a_data_file_that_several_campaigns_read_is_told_once_and_keeps_each_from_being_good(
        self, include, text, line, says
    ):
        Mistake("", "", "# nothing", "campaigns/spring.yaml", ()).write(include)
        spring = include / "campaigns" / "spring.yaml"
        (include / "campaigns" / "autumn.yaml").write_bytes(spring.read_bytes())
        (include / "campaigns" / "other.yaml").write_text(spring.read_text().replace("vip.csv", "vip2.csv"))
        (include / "segments" / "vip2.csv").write_text(FILES["segments/vip.csv"])
        (include / "segments" / "vip.csv").unlink()
        if text is not None:
            (include / "segments" / "vip.csv").write_text(text)
        result = validate(include, "--format", "json")
        answer = json.loads(result.stdout)
        assert (result.exit_code, answer["campaigns"]) == (1, ["other"])
        (found,) = answer["problems"]
        assert (found["file"], found["line"]) == ("include/segments/vip.csv", line)
        assert found["message"].startswith(says)
        assert found["message"].endswith(" Campaigns: autumn, spring.")

    def test_a_data_file_that_several_campaigns_read_is_read_once(self, include, monkeypatch):
        from twilio_campaigns.hooks import segment_review

        Mistake("", "", "# nothing", "campaigns/spring.yaml", ()).write(include)
        spring = include / "campaigns" / "spring.yaml"
        (include / "campaigns" / "autumn.yaml").write_bytes(spring.read_bytes())
        opened, really = [], segment_review.open_data_file
        monkeypatch.setattr(
            segment_review, "open_data_file", lambda of, *how: opened.append(of.file) or really(of, *how)
        )
        assert validate(include).stdout == "autumn: ok\nspring: ok\n"
        assert opened == ["segments/vip.csv"]

    def test_columns_are_looked_for_by_each_campaign_that_reads_a_file(self, include):
        Mistake("", "", "# nothing", "campaigns/spring.yaml", ()).write(include)
        spring = include / "campaigns" / "spring.yaml"
        (include / "campaigns" / "autumn.yaml").write_text(spring.read_text().replace("first_name", "nickname"))
        (include / "campaigns" / "winter.yaml").write_text(
            spring.read_text().replace("vip.csv", "vip.csv\n  phone_column: mobile")
        )
        result = validate(include)
        assert (result.exit_code, result.stdout) == (1, "spring: ok\n")
        autumn, winter = result.stderr.splitlines()
        assert autumn.startswith("include/campaigns/autumn.yaml:8: message.body: the segment has no column 'nickname'")
        assert winter.startswith("include/campaigns/winter.yaml:3: segment.file: segments/vip.csv has no column")

    def test_connections_are_looked_for_where_somebody_asks(self, include, connect_twilio):
        Mistake("", "", "  query: select 1", "campaigns/spring.yaml", (), old="  file: segments/vip.csv").write(include)
        result = validate(include, "--connections")
        assert result.exit_code == 1
        one, other = sorted(result.stderr.splitlines())
        assert one.startswith("include/campaigns/spring.yaml: connection: ")
        assert "twilio_default" in one
        assert other.startswith("include/campaigns/spring.yaml: segment.connection: ")
        assert "warehouse_default" in other
        connect_twilio("http://127.0.0.1:1")
        assert len(validate(include, "--connections").stderr.splitlines()) == 1

    def test_a_connection_that_several_campaigns_name_is_told_once(self, include):
        Mistake("", "", "# nothing", "campaigns/spring.yaml", ()).write(include)
        spring = include / "campaigns" / "spring.yaml"
        (include / "campaigns" / "autumn.yaml").write_bytes(spring.read_bytes())
        result = validate(include, "--connections")
        assert (result.exit_code, result.stdout) == (1, "")
        (line,) = result.stderr.splitlines()
        assert line.startswith("include/campaigns: connection: ")
        assert line.endswith(" Campaigns: autumn, spring.")

    @pytest.mark.parametrize(("folder", "named"), [(".", "include"), ("include", "."), ("include/campaigns", "..")])
    def test_paths_open_from_the_current_folder(self, include, monkeypatch, folder, named):
        Mistake("", "", "timezone: Europe/Berlim", "campaigns/spring.yaml", ()).write(include)
        monkeypatch.chdir(include.parent / folder)
        for given in (named, include):
            (line,) = validate(given).stderr.splitlines()
            assert Path(line.partition(":")[0]).samefile(include / "campaigns" / "spring.yaml")

    def test_nothing_waits_for_airflow(self, include):
        import subprocess
        import sys

        Mistake("", "", "# nothing", "campaigns/spring.yaml", ()).write(include)
        script = (
            "import sys; from typer.testing import CliRunner; from twilio_campaigns.cli import app; "
            f"print(CliRunner().invoke(app, ['validate', '--include', {str(include)!r}]).stdout); "
            "print('heavy:', sorted({'airflow', 'sqlalchemy', 'twilio'} & set(sys.modules)))"
        )
        said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
        assert said == "spring: ok\n\nheavy: []\n"
