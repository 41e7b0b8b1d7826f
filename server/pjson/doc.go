// Package pjson is the JSON of the REST face: how a proto message becomes a
// body, and how strictly a body or a query becomes a proto message.
//
// The JSON mapping of protobuf would not do. It leaves out or zeroes what has
// no value, writes 64-bit integers as strings and fractions of a second into
// times, and varies its blanks on purpose; it reads "5" and 5.0 as 5, takes
// camelCase names, and says what is wrong in the words of a parser. Here:
//
//   - fields stand in the order of the proto file, in snake_case;
//   - an unset field with presence (optional, or a message) is null, but for
//     the few in omitUnset; of a real oneof only the member that is set is
//     written;
//   - 64-bit integers are JSON numbers, enums are names, bytes are base64;
//   - a google.protobuf.Timestamp is RFC 3339 in UTC with whole seconds,
//     truncated; no other message of google.protobuf is known;
//   - maps are objects with sorted keys, and equal messages have equal bytes;
//   - reading takes one object and nothing after it, exact names, each once,
//     and the right type for each; null counts as left out.
//
// Whatever a caller got wrong comes back as an [*Error], a sentence that a
// person can act on.
package pjson
