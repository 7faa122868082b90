// Package arrowcross moves Arrow values between the v15 types of Millwright's
// public API and the v18 types that the Parquet code inside speaks. Nothing is
// copied: a crossed array shares the buffers of the array it came from and
// holds one reference on each of them, so either side may be released first.
package arrowcross
