//go:build race

package dataset_test

// detector says that the race detector watches. It makes tests slower by ten
// times and learns little from the same calls with other values, so those that go
// through many cases take every fourth of them; `make test-real` takes all.
const detector = true
