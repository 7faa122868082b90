package ort

// Inspect is inspect, for the fuzz test.
var Inspect = inspect
