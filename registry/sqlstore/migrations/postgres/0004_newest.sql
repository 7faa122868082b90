-- ../sqlite/0004_newest.sql adds indexes that serve only there.
SELECT 1;
