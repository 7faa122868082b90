package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/millwright-ml/millwright/internal/sqldb"
	"github.com/millwright-ml/millwright/tracking"
)

// maxCachedKeys bounds the memory of the cache; a store with more keys in use
// reads some of them again.
const maxCachedKeys = 1 << 16

// keyCache remembers ids of mw_key. Rows of that table never change, so an
// entry is right for ever, in every process. Keys are given out in a
// transaction of their own, before the one that uses them.
type keyCache struct {
	mu  sync.RWMutex
	ids map[string]int64
}

// lookup fills in the ids of the keys that are cached and returns the others.
func (c *keyCache) lookup(ids []int64, key func(int) string) (unknown []string) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for i := range ids {
		k := key(i)
		if i > 0 && k == key(i-1) {
			ids[i] = ids[i-1]
			continue
		}
		id, ok := c.ids[k]
		if !ok {
			unknown = append(unknown, k)
		}
		ids[i] = id
	}
	return unknown
}

func (c *keyCache) add(found map[string]int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ids == nil || len(c.ids)+len(found) > maxCachedKeys {
		c.ids = make(map[string]int64, len(found))
	}
	maps.Copy(c.ids, found)
}

// keyIDs returns the ids of n keys and gives out those that are missing.
func (s *Store) keyIDs(ctx context.Context, n int, key func(int) string) ([]int64, error) {
	if n == 0 {
		return nil, nil
	}
	ids := make([]int64, n)
	unknown := s.keys.lookup(ids, key)
	if len(unknown) == 0 {
		return ids, nil
	}
	slices.Sort(unknown) // everybody in one order, against deadlocks
	found, err := s.addKeys(ctx, slices.Compact(unknown))
	if err != nil {
		return nil, err
	}
	s.keys.add(found)
	for i := range ids {
		if ids[i] == 0 {
			ids[i] = found[key(i)]
		}
	}
	return ids, nil
}

// pairIDs is keyIDs for a map, by key.
func (s *Store) pairIDs(ctx context.Context, keys []string) (map[string]int64, error) {
	ids, err := s.keyIDs(ctx, len(keys), func(i int) string { return keys[i] })
	if err != nil {
		return nil, err
	}
	out := make(map[string]int64, len(keys))
	for i, key := range keys {
		out[key] = ids[i]
	}
	return out, nil
}

func (s *Store) addKeys(ctx context.Context, keys []string) (map[string]int64, error) {
	found := make(map[string]int64, len(keys))
	read := func(tx *sqldb.Tx) error {
		return eachRow(ctx, tx, `SELECT key, id FROM mw_key WHERE `+s.dialect.In("key"), []any{s.dialect.Texts(keys)}, func(rows *sql.Rows) error {
			var key string
			var id int64
			err := rows.Scan(&key, &id)
			found[key] = id
			return err
		})
	}
	// After a start most keys are there, and no write lock is needed.
	err := s.db.View(ctx, read)
	if err != nil || len(found) == len(keys) {
		return found, err
	}
	err = s.db.Tx(ctx, func(tx *sqldb.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO mw_key (key) SELECT k.value FROM `+s.dialect.EachText("k")+` WHERE true ON CONFLICT (key) DO NOTHING`, s.dialect.Texts(keys))
		if err != nil {
			return err
		}
		return read(tx)
	})
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		if found[key] == 0 { // the engine knows it by other bytes
			return nil, fmt.Errorf("key %q is not valid text: %w", key, tracking.ErrInvalid)
		}
	}
	return found, nil
}

// findKeys returns the ids of those keys that are in use.
func (s *Store) findKeys(ctx context.Context, tx *sqldb.Tx, keys []string) (map[string]int64, error) {
	found := make(map[string]int64, len(keys))
	if len(keys) == 0 {
		return found, nil
	}
	ids := make([]int64, len(keys))
	unknown := s.keys.lookup(ids, func(i int) string { return keys[i] })
	for i, key := range keys {
		if ids[i] != 0 {
			found[key] = ids[i]
		}
	}
	if len(unknown) == 0 {
		return found, nil
	}
	fresh := map[string]int64{}
	err := eachRow(ctx, tx, `SELECT key, id FROM mw_key WHERE `+s.dialect.In("key"), []any{s.dialect.Texts(unknown)}, func(rows *sql.Rows) error {
		var key string
		var id int64
		err := rows.Scan(&key, &id)
		fresh[key], found[key] = id, id
		return err
	})
	if err == nil && len(fresh) > 0 {
		s.keys.add(fresh)
	}
	return found, err
}
