"""Everything that knows SQL: tables, migrations, ledger, events, throughput, views."""
