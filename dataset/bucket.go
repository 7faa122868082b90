package dataset

import (
	"crypto/md5"
	"encoding/binary"
)

// Bucket puts a row into one of 1,000,000 buckets by its key: the first 8 hex
// digits of md5(seed + ":" + key), modulo 1,000,000. A row keeps its bucket
// whatever is appended, so
//
//	Bucket("v1", id) < 200_000
//
// is a holdout of about 20 % that never changes sides. Other engines say the
// same in SQL. DuckDB:
//
//	('0x' || left(md5('v1' || ':' || id), 8))::BIGINT % 1000000
//
// Spark:
//
//	cast(conv(left(md5(concat('v1', ':', id)), 8), 16, 10) as bigint) % 1000000
//
// MD5 is here for being everywhere, not for security.
func Bucket(seed, key string) int {
	var small [128]byte
	b := append(small[:0], seed...)
	b = append(b, ':')
	b = append(b, key...)
	sum := md5.Sum(b)
	return int(binary.BigEndian.Uint32(sum[:4]) % 1_000_000)
}
