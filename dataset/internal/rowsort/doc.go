// Package rowsort sorts the rows of Arrow records by a key in bounded memory,
// so that two or three versions of a table can be walked side by side. Rows
// become bytes: a key that sorts as its values do, and behind it the whole row,
// equal exactly when the values are equal bit by bit. What does not fit into
// memory goes into sorted temporary files.
package rowsort
