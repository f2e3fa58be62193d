import csv
import math
import os
import subprocess
import sys
import time
import traceback
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from twilio_campaigns.domain.campaign import FileSegment, SqlSegment
from twilio_campaigns.domain.exceptions import AudienceError, CampaignFileError, TransientError
from twilio_campaigns.hooks.segment import read_segment


@pytest.fixture
def connection(empty_database_url, monkeypatch):
    """An Airflow connection to a database of the test's own."""
    monkeypatch.setenv("AIRFLOW_CONN_CRM", empty_database_url)
    return empty_database_url


@pytest.fixture
def include(tmp_path):
    folder = tmp_path / "include"
    (folder / "segments").mkdir(parents=True)
    return folder


def query(text, include, chunk_rows=5000, **changes):
    return list(read_segment(SqlSegment(query=text, connection="crm", **changes), include, chunk_rows=chunk_rows))


def file(name, include, chunk_rows=5000, **changes):
    return list(read_segment(FileSegment(file=name, **changes), include, chunk_rows=chunk_rows))


class TestQuery:
    def test_values_are_what_the_database_says(self, connection, include):
        text = """
            select 17 as customer_id, '+12025550123'::text as phone, 9007199254740993 as big,
                   12345678901234567890123 as huge, 1.50::numeric(10, 2) as price, 0.5::float8 as share,
                   '2027-03-01'::date as day, '2027-03-01 09:00+01'::timestamptz as at, true as vip,
                   interval '1 day' as length, '{"a": [1]}'::jsonb as json, array[1, null] as list,
                   '\\x00ff'::bytea as bytes, '' as empty, 'NaN'::float8 as nan,
                   '00000000-0000-0000-0000-000000000001'::uuid as uuid, 'NaN'::numeric as not_a_number,
                   null::int as gap
            union all
            select null, null, null, null, null, null, null, null, null, null, null, null, null, null, null,
                   null, null, 5
            order by 1"""
        ((first, second),) = query(text, include)
        assert first == {
            "customer_id": 17,
            "phone": "+12025550123",
            "big": 9007199254740993,
            "gap": None,
            "huge": Decimal(12345678901234567890123),
            "price": Decimal("1.50"),
            "share": 0.5,
            "vip": True,
            "day": date(2027, 3, 1),
            "at": datetime(2027, 3, 1, 8, tzinfo=UTC),
            "length": timedelta(days=1),
            "json": {"a": [1]},
            "list": [1, None],
            "bytes": b"\x00\xff",
            "empty": "",
            "uuid": UUID(int=1),
            "nan": None,
            "not_a_number": None,
        }
        assert [type(first[name]) for name in ("customer_id", "big", "vip")] == [int, int, bool]
        assert second == dict.fromkeys(first, None) | {"gap": 5}
        assert type(second["gap"]) is int

    @pytest.mark.parametrize("style", ["ISO", "German", "SQL"])
    def test_a_date_that_python_cannot_hold_is_none_and_its_neighbours_stay(
        self, connection, include, monkeypatch, style
    ):
        monkeypatch.setenv("AIRFLOW_CONN_CRM", f"{connection}&options=-c%20DateStyle%3D{style}")
        text = """
            select 1 as customer_id, '' as phone, 'infinity'::date as day,
                   array['0044-03-15 BC'::date, '2027-03-01'] as days
            union all select 2, '', date '2027-03-01', null order by 1"""
        ((first, second),) = query(text, include)
        assert (first["day"], first["days"]) == (None, [None, date(2027, 3, 1)])
        assert second["day"] == date(2027, 3, 1)

    def test_other_connections_stay_strict(self, connection, include):
        assert query("select 1 as customer_id, '' as phone, 'infinity'::date as day", include)
        with psycopg.connect(connection) as database, pytest.raises(psycopg.DataError):
            database.execute("select 'infinity'::date").fetchone()

    def test_chunks(self, connection, include):
        text = "select n::text as customer_id, n::text as phone from generate_series(1, 12) n order by n"
        chunks = query(text, include, chunk_rows=5)
        assert [len(chunk) for chunk in chunks] == [5, 5, 2]
        assert [row["customer_id"] for chunk in chunks for row in chunk] == [str(n) for n in range(1, 13)]

    def test_an_empty_segment_gives_nothing(self, connection, include):
        assert query("select 1 as customer_id, '' as phone where false", include) == []

    @pytest.mark.parametrize(
        "text",
        [
            "select 'a%sb' as customer_id, '100 %' as phone where 'x' like '%' and 7 % 4 = 3",
            "select 'a%sb' as customer_id, '100 %' as phone -- :name %(name)s ?",
            "-- a comment with a ; in it\nselect 'a%sb' as customer_id, '100 %'::text as phone;\n",
            "with x as (select 'a%sb' as customer_id) select customer_id, '100 %' as phone from x",
            "values ('a%sb', '100 %')",
            "select $q$a%sb$q$ as customer_id, '100 %' as phone where ':x' <> '{{ x }}'",
        ],
    )
    def test_the_text_stays_as_it_is(self, connection, include, text):
        columns = {"customer_id_column": "column1", "phone_column": "column2"} if text.startswith("values") else {}
        ((row,),) = query(text, include, **columns)
        assert list(row.values()) == ["a%sb", "100 %"]

    def test_reads_the_file_of_a_segment_made_in_python(self, connection, include):
        (include / "segments" / "a.sql").write_text("select 1 as customer_id, '' as phone")
        segment = SqlSegment(sql="segments/a.sql", connection="crm")
        assert list(read_segment(segment, include)) == [[{"customer_id": 1, "phone": ""}]]
        with pytest.raises(CampaignFileError, match=r"'segments/b\.sql' does not exist"):
            list(read_segment(SqlSegment(sql="segments/b.sql"), include))

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("select * from crm.nobody", 'fails: relation "crm.nobody" does not exist. Correct the query.'),
            ("select nothing", 'column "nothing" does not exist'),
            ("selct 1", "syntax error"),
            ("select 1 as customer_id; select 2", "fails: "),
            ("create table x (a int)", "syntax error"),
            (
                "select 1 / 0 as customer_id, '' as phone",
                "fails: DivisionByZero. Correct the query or the row.",
            ),
            ("select 1 as customer_id, 2 as customer_id, '' as phone", "has column 'customer_id' twice."),
            (
                "select 1 as customer_id, '' as phon",
                "has no column 'phone'. Did you mean 'phon'? It has customer_id, phon. Rename it, or set",
            ),
            ("select 1 as a, '' as phone where false", "has no column 'customer_id'. It has a, phone."),
        ],
    )
    def test_says_what_is_wrong(self, connection, include, text, message):
        with pytest.raises(AudienceError) as caught:
            query(text, include)
        assert message in str(caught.value)
        assert str(caught.value).startswith("the query on crm ")

    def test_fails_in_the_middle(self, connection, include):
        text = "select n as customer_id, (10 / (8 - n))::text as phone from generate_series(1, 9) n"
        chunks = read_segment(SqlSegment(query=text, connection="crm"), include, chunk_rows=5)
        assert len(next(chunks)) == 5
        with pytest.raises(AudienceError, match="DivisionByZero"):
            next(chunks)

    def test_does_not_quote_rows(self, connection, include):
        with psycopg.connect(connection) as database:
            database.execute("create table people (customer_id text, phone text)")
            database.execute("insert into people values ('c1', 'Ann')")
        with pytest.raises(AudienceError) as caught:
            query("select customer_id, phone::int as phone from people", include)
        assert str(caught.value).endswith("fails: InvalidTextRepresentation. Correct the query or the row.")
        assert "Ann" not in "".join(traceback.format_exception(caught.value))

    def test_writes_nothing(self, connection, include):
        with psycopg.connect(connection) as database:
            database.execute("create sequence s")
        with pytest.raises(AudienceError, match="read-only transaction"):
            query("select nextval('s') as customer_id, '' as phone", include)

    def test_leaves_no_connection_behind(self, connection, include):
        text = "select n as customer_id, '' as phone from generate_series(1, 100000) n"
        chunks = read_segment(SqlSegment(query=text, connection="crm"), include, chunk_rows=10)
        next(chunks)
        count = "select count(*) from pg_stat_activity where datname = current_database()"
        with psycopg.connect(connection, autocommit=True) as database:
            assert database.execute(count).fetchone() == (2,)
            chunks.close()
            patience = time.monotonic() + 10  # the server needs a moment to see that the client has gone
            while database.execute(count).fetchone() != (1,):
                assert time.monotonic() < patience
                time.sleep(0.05)

    def test_honours_the_extras_of_the_connection(self, connection, include, monkeypatch):
        monkeypatch.setenv("AIRFLOW_CONN_CRM", connection + "&application_name=segments")
        ((row,),) = query("select 1 as customer_id, current_setting('application_name') as phone", include)
        assert row["phone"] == "segments"

    def test_a_database_out_of_reach_may_come_back(self, include, monkeypatch):
        monkeypatch.setenv("AIRFLOW_CONN_CRM", "postgres://nobody@127.0.0.1:1/nothing?connect_timeout=2")
        with pytest.raises(TransientError, match="the query on crm could not be read to its end"):
            query("select 1", include)

    def test_a_connection_lost_in_the_middle_may_come_back(self, connection, include):
        text = "select n as customer_id, '' as phone from generate_series(1, 100000) n"
        chunks = read_segment(SqlSegment(query=text, connection="crm"), include, chunk_rows=10)
        next(chunks)
        with psycopg.connect(connection) as database:
            database.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and pid <> pg_backend_pid()"
            )
        with pytest.raises(TransientError):
            list(chunks)

    def test_no_such_connection(self, include):
        with pytest.raises(AudienceError, match=r"no Airflow connection 'crm'\. Create it .* AIRFLOW_CONN_CRM"):
            query("select 1", include)

    def test_a_connection_that_is_no_database(self, include, monkeypatch):
        monkeypatch.setenv("AIRFLOW_CONN_CRM", "fs://")
        with pytest.raises(AudienceError, match="Airflow connection 'crm' is not an SQL database"):
            query("select 1", include)

    def test_a_connection_without_provider(self, include, monkeypatch):
        monkeypatch.setenv("AIRFLOW_CONN_CRM", "nonsense://")
        with pytest.raises(AudienceError, match=r"Airflow connection 'crm': .*\. Install its provider"):
            query("select 1", include)

    def test_memory_does_not_grow_with_the_audience(self, connection, include):
        # In a process of its own: the peak of this one knows nothing of this query.
        program = """
import resource, sys
from pathlib import Path
from twilio_campaigns.domain.campaign import SqlSegment
from twilio_campaigns.hooks.segment import read_segment

TEXT = "select n as customer_id, '' as phone, repeat('x', 200) as t from generate_series(1, {}) n"
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
segment = lambda rows: SqlSegment(query=TEXT.format(rows), connection="crm")
read = lambda rows: sum(map(len, read_segment(segment(rows), Path("."))))
read(10_000)
before = peak()
print(read(200_000), peak() - before)
"""
        answer = subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"AIRFLOW_CONN_CRM": connection},
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        )
        rows, megabytes = map(int, answer.stdout.split()[-2:])
        assert rows == 200_000
        assert megabytes < 60


class TestCsv:
    def write(self, include, content):
        path = include / "segments" / "a.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return "segments/a.csv"

    def test_everything_is_text_and_an_empty_value_is_none(self, include):
        name = self.write(include, 'customer_id,phone, name \n007,0151 1,"A, ""B""\nC"\n\n17,,\n')
        assert file(name, include) == [
            [
                {"customer_id": "007", "phone": "0151 1", "name": 'A, "B"\nC'},
                {"customer_id": "17", "phone": None, "name": None},
            ]
        ]

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
    def test_encodings_and_line_ends(self, include, encoding):
        name = self.write(include, "customer_id,phone,name\r\n1,2,Jürgen 🌷\r\n".encode(encoding))
        assert file(name, include) == [[{"customer_id": "1", "phone": "2", "name": "Jürgen 🌷"}]]

    def test_chunks(self, include):
        name = self.write(include, "customer_id,phone\n" + "".join(f"{n},{n}\n" for n in range(12)))
        assert [len(chunk) for chunk in file(name, include, chunk_rows=5)] == [5, 5, 2]

    def test_an_empty_segment_gives_nothing(self, include):
        assert file(self.write(include, "customer_id,phone\n"), include) == []

    def test_columns_may_have_other_names(self, include):
        name = self.write(include, "id,mobile\n1,2\n")
        assert file(name, include, customer_id_column="id", phone_column="mobile") == [[{"id": "1", "mobile": "2"}]]

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("", "segments/a.csv is empty. Write a header"),
            ("\n\n", "segments/a.csv is empty. Write a header"),
            ("customer_id;phone\n1;2\n", "segments/a.csv:1: the columns are not separated by commas."),
            (
                "customer_id,fone\n",
                "segments/a.csv has no column 'phone'. Did you mean 'fone'? It has customer_id, fone.",
            ),
            ("customer_id,phone,phone\n", "segments/a.csv has column 'phone' twice."),
            ("customer_id,phone\n1,2\n3\n", "segments/a.csv:3: the row has 1 values, and the header has 2."),
            (
                "customer_id,phone\n1,2\n3,4,5\n",
                "segments/a.csv:3: the row has 3 values, and the header has 2.",
            ),
            ('customer_id,phone\n1,"2\n3"\n3\n', "segments/a.csv:4: the row has 1 values"),
            ('customer_id,phone\n1,"2\n3,4\n', "segments/a.csv:3: unexpected end of data. Check the quotes"),
            ('customer_id,phone\n1,"2"3\n', "segments/a.csv:2: "),
            (
                "customer_id,phone\n1,2\n\u00e9,4\n".encode("latin-1"),
                "segments/a.csv:3: the line is not UTF-8.",
            ),
            ("customer_id,phone\n".encode("utf-16"), "segments/a.csv:1: the line is not UTF-8."),
            ("customer_id,phone\n1," + "2" * 200_000, "segments/a.csv:2: field larger than field limit"),
        ],
    )
    def test_says_where_and_what(self, include, content, message):
        with pytest.raises(AudienceError) as caught:
            file(self.write(include, content), include)
        assert str(caught.value).startswith(message)

    def test_python_reads_what_csv_writes(self, include):
        rows = [{"customer_id": str(n), "phone": 'a "b", c\nd', "x": None} for n in range(3)]
        with (include / "segments" / "a.csv").open("w", newline="", encoding="utf-8") as target:
            writer = csv.DictWriter(target, ["customer_id", "phone", "x"])
            writer.writeheader()
            writer.writerows(rows)
        assert file("segments/a.csv", include) == [rows]


class TestParquet:
    def write(self, include, columns):
        pq.write_table(pa.table(columns), include / "segments" / "a.parquet", row_group_size=7)
        return "segments/a.parquet"

    def test_values_keep_their_kind(self, include):
        name = self.write(
            include,
            {
                "customer_id": pa.array([17, None], pa.int64()),
                "phone": pa.array(["+12025550123", None]),
                "as_float": pa.array([9.0, math.nan], pa.float64()),
                "price": pa.array([Decimal("1.50"), None], pa.decimal128(10, 2)),
                "at": pa.array([datetime(2027, 3, 1, tzinfo=UTC), None], pa.timestamp("us", "UTC")),
                "vip": pa.array([True, None]),
                "list": pa.array([["a"], None]),
            },
        )
        ((first, second),) = file(name, include)
        assert first == {
            "customer_id": 17,
            "phone": "+12025550123",
            "as_float": 9.0,
            "price": Decimal("1.50"),
            "at": datetime(2027, 3, 1, tzinfo=UTC),
            "vip": True,
            "list": ["a"],
        }
        assert type(first["customer_id"]) is int
        assert set(second.values()) == {None}

    def test_chunks(self, include):
        name = self.write(include, {"customer_id": list(range(23)), "phone": ["1"] * 23})
        chunks = file(name, include, chunk_rows=5)
        assert max(map(len, chunks)) == 5
        assert [row["customer_id"] for chunk in chunks for row in chunk] == list(range(23))

    def test_an_empty_segment_gives_nothing(self, include):
        name = self.write(include, {"customer_id": pa.array([], pa.string()), "phone": pa.array([], pa.string())})
        assert file(name, include) == []

    def test_a_missing_column(self, include):
        with pytest.raises(AudienceError, match=r"segments/a\.parquet has no column 'phone'\."):
            file(self.write(include, {"customer_id": [1], "mobile": ["1"]}), include)

    @pytest.mark.parametrize("content", [b"", b"customer_id,phone\n1,2\n", b"PAR1" + b"\0" * 100 + b"PAR1"])
    def test_no_parquet(self, include, content):
        (include / "segments" / "a.parquet").write_bytes(content)
        with pytest.raises(AudienceError, match=r"^segments/a\.parquet cannot be read as Parquet: "):
            file("segments/a.parquet", include)


def test_a_missing_file(include):
    with pytest.raises(AudienceError, match=r"^segments/no\.csv does not exist below include/\. Put the file there\."):
        file("segments/no.csv", include)


def test_links_do_not_lead_out(include, tmp_path):
    (tmp_path / "secret.csv").write_text("customer_id,phone\n1,2\n")
    (include / "segments" / "a.csv").symlink_to(tmp_path / "secret.csv")
    with pytest.raises(AudienceError, match=r"segments/a\.csv is a link out of the include folder"):
        file("segments/a.csv", include)
