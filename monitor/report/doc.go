// Package report makes a page that a person likes to read of what a monitor has
// found: one HTML file with its plots inside, without scripts and without
// anything to fetch, light or dark as the reader's system is, to be mailed,
// attached to a ticket, stored with the model version or served.
//
//	err := report.WriteHTML(file, report.Page{Report: r, History: last})
//
// [Recorder] keeps the last reports of a running monitor, and serves the page,
// or the same as JSON.
//
// Every plot has a text that says what it shows, and its numbers in a table
// beside or below it. The package links the standard library only.
package report
