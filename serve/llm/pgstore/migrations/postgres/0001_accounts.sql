-- What tenants have used. used counts what was spent and what replicas hold.
-- There is no index but the keys, so that an update of a row touches no index:
-- there are a few rows for each tenant, and what sweeps them may read them all.
CREATE TABLE mw_llm_account (
	key  text COLLATE "C" PRIMARY KEY,
	used bigint NOT NULL,
	at   timestamptz NOT NULL, -- of used
	keep timestamptz NOT NULL  -- until then the row is needed
) WITH (fillfactor = 50);

-- What a replica has told of an account: what it spent since it began, and what
-- it holds for requests that run and for those that may come.
CREATE TABLE mw_llm_lease (
	key     text COLLATE "C" NOT NULL REFERENCES mw_llm_account (key) ON DELETE CASCADE,
	replica text COLLATE "C" NOT NULL,
	serial  bigint NOT NULL, -- of the exchange that told it
	spent   bigint NOT NULL,
	held    bigint NOT NULL,
	lost    boolean NOT NULL, -- what it held was given back
	expires timestamptz NOT NULL,
	PRIMARY KEY (key, replica)
) WITH (fillfactor = 50);

-- One round trip: a replica tells of accounts what it spent and holds, as sums
-- since it began, so that telling it twice changes nothing, and gets what it may
-- hold from now on. The keys are sorted, so that replicas lock in one order. A
-- statement in here sees what others committed while the one before waited, which
-- those of one query with several parts would not.
CREATE FUNCTION mw_llm_exchange(
	p_serial bigint, p_lease bigint, p_keep_lost boolean,
	keys text[], replicas text[], limits bigint[], pers bigint[], untils bigint[],
	spents bigint[], outs bigint[], haves bigint[], needs bigint[], leasts bigint[], aheads bigint[]
) RETURNS TABLE (o_key text, o_granted bigint, o_left bigint, o_now bigint) LANGUAGE plpgsql AS $$
DECLARE
	most CONSTANT numeric := 9000000000000000000;
	a mw_llm_account;
	l mw_llm_lease;
	moment timestamptz;
	passed numeric;
	units numeric;
	base numeric;
	room numeric;
	granted numeric;
	back numeric;
BEGIN
	FOR i IN 1 .. COALESCE(array_length(keys, 1), 0) LOOP
		SELECT * INTO a FROM mw_llm_account WHERE key = keys[i] FOR NO KEY UPDATE;
		IF NOT FOUND THEN
			-- An account whose end is long ago, by a replica with a wrong clock, is
			-- used up: it may have been swept.
			INSERT INTO mw_llm_account (key, used, at, keep)
			VALUES (keys[i], CASE WHEN pers[i] = 0 AND to_timestamp(untils[i] / 1e6) < clock_timestamp() - interval '1 day' THEN limits[i] ELSE 0 END,
				clock_timestamp(), clock_timestamp() + interval '1 day')
			ON CONFLICT (key) DO NOTHING;
			SELECT * INTO a FROM mw_llm_account WHERE key = keys[i] FOR NO KEY UPDATE;
		END IF;
		moment := clock_timestamp();
		base := a.used;
		IF pers[i] > 0 THEN
			passed := CAST(EXTRACT(epoch FROM moment - a.at) * 1e6 AS numeric);
			IF passed > 0 THEN
				units := floor(CAST(limits[i] AS numeric) * passed / pers[i]);
				IF units >= base THEN
					base := 0;
					a.at := moment;
				ELSE
					base := base - units;
					a.at := a.at + CAST(units * pers[i] / GREATEST(limits[i], 1) AS double precision) * interval '1 microsecond';
				END IF;
			END IF;
			a.keep := moment + CAST(LEAST((base / GREATEST(limits[i], 1) + 1) * pers[i], 1e15) AS double precision) * interval '1 microsecond' + interval '1 hour';
		ELSE
			a.keep := to_timestamp(untils[i] / 1e6) + interval '1 day';
			IF NOT p_keep_lost THEN
				WITH gone AS (
					UPDATE mw_llm_lease SET held = 0, lost = true
					FROM (SELECT key AS k, replica AS r, held AS h FROM mw_llm_lease WHERE key = keys[i] AND replica <> replicas[i] AND held <> 0 AND expires < moment) AS old
					WHERE key = old.k AND replica = old.r
					RETURNING old.h AS h
				)
				SELECT COALESCE(SUM(h), 0) INTO back FROM gone;
				base := base - back;
			END IF;
		END IF;
		SELECT * INTO l FROM mw_llm_lease WHERE key = keys[i] AND replica = replicas[i];
		IF NOT FOUND THEN
			l.spent := 0; l.held := 0; l.lost := true; l.serial := 0;
		END IF;
		-- A statement that was thought lost and comes late.
		CONTINUE WHEN p_serial < l.serial;
		base := base - l.spent - l.held + spents[i] + outs[i];
		room := limits[i] - base;
		-- What it has it keeps, unless the account is overdrawn: that comes first.
		granted := CASE WHEN l.lost THEN 0 ELSE GREATEST(LEAST(haves[i], room), 0) END;
		IF leasts[i] > 0 AND room >= leasts[i] THEN
			-- Of what is left beyond the need a sixteenth at most, so that towards
			-- the end of a budget nobody holds what others need.
			granted := GREATEST(granted, LEAST(needs[i], room) + LEAST(aheads[i], GREATEST(floor((room - needs[i]) / 16), 0)));
		END IF;
		UPDATE mw_llm_account SET used = LEAST(GREATEST(base + granted, 0), most), at = a.at, keep = a.keep WHERE key = keys[i];
		INSERT INTO mw_llm_lease AS t (key, replica, serial, spent, held, lost, expires)
		VALUES (keys[i], replicas[i], p_serial, spents[i], LEAST(outs[i] + granted, most), false, moment + p_lease * interval '1 microsecond')
		ON CONFLICT (key, replica) DO UPDATE SET serial = excluded.serial, spent = excluded.spent, held = excluded.held, lost = false, expires = excluded.expires;
		o_key := keys[i];
		o_granted := LEAST(granted, most);
		o_left := GREATEST(LEAST(room - granted, most), -most);
		o_now := CAST(EXTRACT(epoch FROM moment) * 1e6 AS bigint);
		RETURN NEXT;
	END LOOP;
END $$;
