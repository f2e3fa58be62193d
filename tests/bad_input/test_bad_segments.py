"""Segments that cannot be read: a clear error, a ledger as it was, and a run that freezes once they are mended."""

from types import SimpleNamespace

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.sdk.exceptions import AirflowFailException

from bad_input.checks import SECRET, assert_clear
from builders import campaign
from twilio_campaigns.domain.campaign import AudienceRules, FileSegment, Message, SqlSegment
from twilio_campaigns.domain.exceptions import TransientError
from twilio_campaigns.operators.campaign import TwilioPrepareAudienceOperator

RUN = {"dag_run": SimpleNamespace(dag_id="campaign__spring", run_id="manual__one", logical_date=None)}
QUERY = "select customer_id, phone, first_name from public.people"
HEADER = "customer_id,phone,first_name\n"
ROW = "1,+12025550142,Ann\n"


@pytest.fixture
def include(tmp_path):
    folder = tmp_path / "include"
    (folder / "segments").mkdir(parents=True)
    return folder


@pytest.fixture
def prepare(database_url, connect_warehouse, query, include, simulator, connect_twilio):
    """Run the campaign's first task on a segment; the warehouse holds a table of three people."""
    connect_warehouse(database_url)
    connect_twilio(simulator.url)
    query("create table public.people (customer_id text, phone text, first_name text)")
    query("insert into public.people select 'c' || n, '+1202555010' || n, 'Ann' from generate_series(1, 3) n")

    def run(segment, **changes):
        of = campaign(segment=SqlSegment(query=segment) if isinstance(segment, str) else segment, **changes)
        return TwilioPrepareAudienceOperator(task_id="prepare_audience", campaign=of, include=str(include)).execute(RUN)

    return run


@pytest.fixture
def refused(prepare, query):
    """Expect an error that no retry mends, and a ledger as it was."""

    def check(segment, *places):
        with pytest.raises(AirflowFailException) as caught:
            prepare(segment)
        assert_clear(str(caught.value), *places)
        assert query("select 1 from messages union all select 1 from audience_staging") == []
        assert query("select state, spec, audience_rows from campaign_runs") == [
            {"state": "freezing", "spec": None, "audience_rows": None}
        ]

    return check


@pytest.fixture
def states(query):
    def count():
        rows = query("select coalesce(skip_reason, send_state) as word, count(*) as n from messages group by 1")
        return {row["word"]: row["n"] for row in rows}

    return count


#: The query, and what the error says besides its name.
BAD_QUERIES = {
    "a missing table": ("select * from crm.nobody", 'relation "crm.nobody" does not exist'),
    "a missing column": ("select nothing from public.people", 'column "nothing" does not exist'),
    "no phone column": ("select customer_id, first_name from public.people", "no column 'phone'"),
    "a phone column in capitals": (
        'select customer_id, phone as "Phone" from public.people',
        "no column 'phone'. Did you mean 'Phone'?",
    ),
    "no customer id": ("select phone from public.people", "no column 'customer_id'"),
    "a column twice": ("select *, upper(first_name) as phone from public.people", "has column 'phone' twice"),
    "columns without names": ("select 1, 2", "has column '?column?' twice"),
    "a misspelt word": ("selct 1", "syntax error"),
    "a template of Airflow": ("select * from {{ params.table }}", "syntax error"),
    "several statements": (f"{QUERY}; drop table public.people", "multiple commands"),
    "a comment alone": ("-- later", "syntax error"),
    "an insert": ("insert into public.people values ('x') returning customer_id, phone", "syntax error"),
    "a deletion": ("delete from public.people", "syntax error"),
    "a deletion in a query": (
        "with gone as (delete from public.people returning *) select * from gone",
        "WITH",
    ),
    "a new table": ("select customer_id, phone into public.copy from public.people", "INTO"),
    "a lock": (f"{QUERY} for update", "read-only"),
    "a value of another kind": (
        "select customer_id, first_name::int as phone from public.people",
        "InvalidTextRepresentation",
    ),
    "a phone column of real": (
        "select customer_id, 12025550142::real as phone from public.people",
        "32-bit floats",
    ),
    "a failure after 9,000 rows": (
        "select n as customer_id, (1 / (9000 - n))::text as phone from generate_series(1, 20000) n",
        "DivisionByZero",
    ),
}


@pytest.mark.parametrize(("text", "says"), BAD_QUERIES.values(), ids=BAD_QUERIES)
def test_a_query_that_cannot_be_read_changes_nothing(refused, text, says):
    refused(text, "the query on warehouse_default ", says)


def test_the_same_run_freezes_once_its_query_is_mended(refused, prepare, states):
    refused("select customer_id from public.people", "no column 'phone'")
    assert prepare(QUERY) == [1]
    assert states() == {"planned": 3}


#: The bytes of a CSV file, and how the error goes on after the file's name.
BAD_CSV = {
    "empty": (b"", " is empty. Write a header"),
    "white space": (b"  \n", " is empty. Write a header"),
    "Latin-1": (f"{HEADER}1,+12025550142,Jürgen\n".encode("latin-1"), ":2: the line is not UTF-8."),
    "UTF-16 of Excel": (f"{HEADER}{ROW}".encode("utf-16"), ":1: the line is not UTF-8."),
    "UTF-16 without its mark": (f"{HEADER}{ROW}".encode("utf-16-le"), ":1: the line is not UTF-8."),
    "a workbook with another name": (b"PK\x03\x04\x14\x00\x06\x00\xb5\xff\n", ":1: the line is not UTF-8."),
    "compressed": (b"\x1f\x8b\x08\x00\n", ":1: the line is not UTF-8."),
    "semicolons": (b"customer_id;phone\n1;+12025550142\n", ":1: the columns are not separated by commas."),
    "tabs": (b"customer_id\tphone\n1\t+12025550142\n", ":1: the columns are not separated by commas."),
    "bars": (b"customer_id|phone\n1|+12025550142\n", ":1: the columns are not separated by commas."),
    "a hint to Excel": (f"sep=,\n{HEADER}{ROW}".encode(), ":1: the line is a hint to Excel. Delete it"),
    "line ends of an old Mac": (f"{HEADER}{ROW}".replace("\n", "\r").encode(), ":1: lines end with CR alone"),
    "a header in capitals": (b"Customer_ID,Phone\n1,+12025550142\n", " has no column 'customer_id'. Did you mean"),
    "no header": (b"1,x,Ann\n2,y,Bob\n", " has no column 'customer_id'. It has 1, x, Ann."),
    "a header twice": (b"customer_id,phone, phone\n1,2,3\n", " has column 'phone' twice."),
    "two columns without name": (b"customer_id,phone,,\n1,2,,\n", " has column '' twice."),
    "an error page of a web server": (b"<html><body>404</body></html>\n", " has no column 'customer_id'. It has <html"),
    "a short row": (f"{HEADER}{ROW}2,+12025550143\n".encode(), ":3: the row has 2 values, and the header has 3."),
    "a comma in a name": (f"{HEADER}2,+12025550143,Lee, Ann\n".encode(), ":2: the row has 4 values"),
    "a quote that is not closed": (f'{HEADER}{ROW}2,"+12025550143,Bob\n'.encode(), ":3: unexpected end of data."),
    "a text after a quote": (f'{HEADER}1,"+12025550142"x,Ann\n'.encode(), ":2: "),
    "a value of 200,000 characters": (f"{HEADER}1,{'2' * 200_000},Ann\n".encode(), ":2: field larger than"),
}


@pytest.mark.parametrize(("content", "says"), BAD_CSV.values(), ids=BAD_CSV)
def test_a_csv_file_that_cannot_be_read_names_the_line(refused, include, content, says):
    (include / "segments" / "vip.csv").write_bytes(content)
    refused(FileSegment(file="segments/vip.csv"), f"segments/vip.csv{says}")


#: What looks bad and is read all the same.
GOOD_CSV = {
    "byte order mark": f"{HEADER}{ROW}".encode("utf-8-sig"),
    "byte order mark and quotes": f'"customer_id",phone,first_name\n{ROW}'.encode("utf-8-sig"),
    "Windows line ends": f"{HEADER}{ROW}".replace("\n", "\r\n").encode(),
    "no line end": f"{HEADER}{ROW}".strip().encode(),
    "blank lines": f"\n{HEADER}\n{ROW}\n\n".encode(),
    "a column without name": b"customer_id,phone,first_name,\n1,+12025550142,Ann,\n",
    "NUL in a value": f"{HEADER}1,+12025550142,A\0nn\n".encode(),
}


@pytest.mark.parametrize("content", GOOD_CSV.values(), ids=GOOD_CSV)
def test_a_csv_file_that_looks_bad_is_read_all_the_same(prepare, include, query, content):
    (include / "segments" / "vip.csv").write_bytes(content)
    assert prepare(FileSegment(file="segments/vip.csv")) == [1]
    assert query("select to_number, body from messages") == [{"to_number": "+12025550142", "body": "Hi Ann"}]


def write_parquet(include, **columns):
    pq.write_table(pa.table(columns), include / "segments" / "vip.parquet")
    return FileSegment(file="segments/vip.parquet")


def test_a_file_that_is_no_parquet_is_named(refused, include):
    (include / "segments" / "vip.parquet").write_bytes(f"{HEADER}{ROW}".encode())
    refused(FileSegment(file="segments/vip.parquet"), "segments/vip.parquet cannot be read as Parquet")


def test_half_a_parquet_file_is_named(refused, include):
    segment = write_parquet(include, customer_id=["1"] * 1000, phone=["+12025550142"] * 1000)
    path = include / segment.file
    path.write_bytes(path.read_bytes()[:-20])
    refused(segment, "segments/vip.parquet cannot be read as Parquet")


def test_numbers_in_32_bit_floats_are_refused_as_they_are_other_peoples(refused, include):
    phones = pa.array([12025550142.0], pa.float64()).cast(pa.float32(), safe=False)
    refused(write_parquet(include, customer_id=["1"], phone=phones), "column 'phone' as 32-bit floats")


def test_a_nested_phone_column_leaves_out_each_row(prepare, include, states):
    phones = [{"number": "+12025550142"}, {"number": "+12025550143"}]
    assert prepare(write_parquet(include, customer_id=["1", "2"], phone=phones)) == []
    assert states() == {"invalid_number": 2}


def test_a_text_of_parquet_that_is_not_utf8_leaves_out_its_row_alone(prepare, include, states):
    names = pa.array([b"Ann", b"J\xfcrgen", b"Bob"], pa.binary()).view(pa.string())
    phones = [f"+1202555010{n}" for n in range(3)]
    assert prepare(write_parquet(include, customer_id=["1", "2", "3"], phone=phones, first_name=names)) == [1]
    assert states() == {"planned": 2, "missing_variable": 1}


def test_a_date_of_parquet_that_python_cannot_hold_leaves_its_row_alone(prepare, include, states):
    days = pa.array([1, 2**30], pa.int32()).cast(pa.date32())
    columns = {"customer_id": ["1", "2"], "phone": ["+12025550100", "+12025550101"], "day": days}
    segment = write_parquet(include, **columns)
    assert prepare(segment, message=Message(body="Since {{ day }}")) == [1]
    assert states() == {"planned": 1, "missing_variable": 1}


def test_texts_that_parquet_holds_as_bytes_are_read_as_texts(prepare, include, query):
    columns = {"customer_id": [b"1"], "phone": [b"+12025550142"], "first_name": ["Jürgen".encode()]}
    assert prepare(write_parquet(include, **columns)) == [1]
    assert query("select customer_id, body from messages") == [{"customer_id": "1", "body": "Hi Jürgen"}]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("segments/missing.csv", "does not exist below include/. Put the file there."),
        ("segments/folder.csv", "does not exist below include/. Put the file there."),
        ("segments/lost.csv", "does not exist below include/. Put the file there."),
        ("segments/loop.csv", "is a link out of the include folder. Put the file itself there."),
        ("segments/out.csv", "is a link out of the include folder. Put the file itself there."),
        ("segments/file.csv/vip.csv", "cannot be read: Not a directory. Check it and its rights."),
        (f"segments/{'x' * 300}.csv", "cannot be read: File name too long. Check it and its rights."),
    ],
)
def test_a_file_that_is_not_there_is_named(refused, include, tmp_path, name, says):
    segments = include / "segments"
    (segments / "folder.csv").mkdir()
    (segments / "file.csv").write_text("x")
    (tmp_path / "out.csv").write_text(f"{HEADER}{ROW}")
    for link, target in (("lost.csv", "nowhere"), ("loop.csv", "loop.csv"), ("out.csv", tmp_path / "out.csv")):
        (segments / link).symlink_to(target)
    refused(FileSegment(file=name), f"{name} {says}")


@pytest.mark.parametrize(
    "segment",
    [
        SqlSegment(query=f"{QUERY} where false"),
        FileSegment(file="segments/header.csv"),
        FileSegment(file="segments/none.parquet"),
    ],
)
def test_a_segment_of_nobody_is_a_run_without_batches(prepare, include, query, segment):
    (include / "segments" / "header.csv").write_text(HEADER)
    nobody = pa.table({"customer_id": pa.array([], pa.string()), "phone": pa.array([], pa.string())})
    pq.write_table(nobody, include / "segments" / "none.parquet")
    assert prepare(segment) == []
    assert query("select state, audience_rows from campaign_runs") == [{"state": "sending", "audience_rows": 0}]


def test_a_segment_of_bad_rows_alone_texts_nobody_and_keeps_them(prepare, states):
    assert prepare("select customer_id, 'call me' as phone from public.people") == []
    assert states() == {"invalid_number": 3}


def test_one_bad_row_among_50_000_is_left_out_alone(prepare, query, states):
    text = """
        select 'c' || n as customer_id, 'Ann' as first_name,
               case n when 25001 then '+1 202 CALL ME' else '+1' || 2025000000 + n end as phone
        from generate_series(1, 50000) n
    """
    batches = prepare(text, audience=AudienceRules(mobile_only=False))
    assert states() == {"planned": 49_999, "invalid_number": 1}
    assert len(batches) == 50
    assert query("select customer_id, batch_no from messages where skip_reason is not null") == [
        {"customer_id": "c25001", "batch_no": None}
    ]
    assert query("select audience_rows from campaign_runs") == [{"audience_rows": 50_000}]


#: Values that PostgreSQL has and Python has not.
WIDE = {
    "infinity": "'infinity'::date",
    "minus infinity": "'-infinity'::timestamp",
    "a day BC": "'0044-03-15 BC'::date",
    "a moment BC": "'0044-03-15 12:00 BC'::timestamptz",
    "a year of five digits": "'12027-03-01'::timestamp",
    "a moment that never comes": "'infinity'::timestamptz",
    "the end of a day": "'24:00'::time",
    "the end of a day in a zone": "'24:00+01'::timetz",
    "an age of the world": "'5000000 years'::interval",
}


@pytest.mark.parametrize("value", WIDE.values(), ids=WIDE)
def test_a_value_that_python_cannot_hold_leaves_out_its_row_alone(prepare, query, value):
    text = f"select *, case customer_id when 'c2' then {value} end as odd from public.people"
    uses = Message(body="Code {{ customer_id }}{% if customer_id == 'c2' %} of {{ odd }}{% endif %}")
    assert prepare(text, message=uses) == [1]
    assert query("select customer_id, skip_reason, body from messages order by 1") == [
        {"customer_id": "c1", "skip_reason": None, "body": "Code c1"},
        {"customer_id": "c2", "skip_reason": "missing_variable", "body": None},
        {"customer_id": "c3", "skip_reason": None, "body": "Code c3"},
    ]


@pytest.mark.parametrize("value", WIDE.values(), ids=WIDE)
def test_a_value_that_python_cannot_hold_matters_to_no_text_without_it(prepare, states, value):
    assert prepare(f"select *, {value} as odd from public.people") == [1]
    assert states() == {"planned": 3}


@pytest.fixture
def poor(postgres_url, database_url):
    """URL of the test's database for a user without any right."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("create role poor login")
        yield database_url.replace("//postgres:", "//poor:", 1)
        connection.execute("drop role poor")


def test_a_user_who_may_not_read_the_table_is_told_what_to_ask_for(refused, poor, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_CRM", poor)
    says = "permission denied for table people. Grant the user of the connection"
    refused(SqlSegment(query=QUERY, connection="crm"), "the query on crm fails: ", says)


def test_a_server_that_is_away_is_tried_again_and_changes_nothing(prepare, query, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_CRM", f"postgresql://user:{SECRET}@127.0.0.1:1/crm")
    with pytest.raises(TransientError) as caught:
        prepare(SqlSegment(query=QUERY, connection="crm"))
    assert_clear(str(caught.value), "the query on crm could not be read to its end", "check connection 'crm'")
    assert query("select 1 from messages union all select 1 from audience_staging") == []
    assert prepare(QUERY) == [1]
