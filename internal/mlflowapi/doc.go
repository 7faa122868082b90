// Package mlflowapi is MLflow's REST API as Go types: one struct a message,
// named as in MLflow's protocol, with one strict codec. The server decodes
// requests and encodes responses with it, the client the other way round.
//
// # JSON
//
// A field is named by its json tag; its camel case form is accepted as well,
// as protobuf does, but not both at once. Fields that are not known are
// skipped. An absent field, and one that is null, keeps its zero value, so a
// pointer is used where zero and absent differ. Integers may come as numbers
// or strings, numbers also as "NaN", "Infinity" and "-Infinity", enumerations
// by name or number. Anything else of a wrong type, a repeated field name,
// text that is not UTF-8 and anything after the object is an error that names
// the field: a message is understood in full or not at all.
//
// Encoding writes a field unless its tag says omitempty or omitzero and it is zero.
// Integers are numbers; NaN and the infinities are strings.
//
// # Tags
//
//	json:"name,omitempty"  the name on the wire
//	api:"required"         DecodeRequest refuses the message without it; an
//	                       empty text is as good as none
package mlflowapi
