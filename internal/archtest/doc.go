// Package archtest holds the house rules as tests: which package may import and
// link what (the table is in table_test.go), what every package and file must
// have, that the commands in the README exist, and that an example builds once
// it is copied out of the tree. It is for tests only; nothing links it.
package archtest
