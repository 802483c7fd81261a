/// `ssrc` (RFC 5576 §4.1): something about one source, such as its `cname`.
package struct SSRCAttribute: Equatable, Sendable {
  package var ssrc: UInt32
  package var name: String
  package var value: String?

  package init(ssrc: UInt32, name: String, value: String?) {
    self.ssrc = ssrc
    self.name = name
    self.value = value
  }

  init(_ reader: inout FieldReader) throws(SDPError) {
    ssrc = try reader.number("an SSRC of 32 bits")
    try reader.space(before: "an attribute of the source")
    name = try reader.token("an attribute of the source", until: ":")
    if reader.consume(":") { value = reader.rest() }
  }
}

extension SSRCAttribute: CustomStringConvertible {
  package var description: String { "\(ssrc) \(name)" + (value.map { ":" + $0 } ?? "") }
}

/// `ssrc-group` (RFC 5576 §4.2): `FID` pairs a source with its retransmissions, `FEC-FR` with its repair, `SIM` lists layers.
package struct SSRCGroup: Equatable, Sendable {
  package var semantics: String
  package var ssrcs: [UInt32]

  package init(semantics: String, ssrcs: [UInt32]) {
    self.semantics = semantics
    self.ssrcs = ssrcs
  }

  init(_ reader: inout FieldReader) throws(SDPError) {
    semantics = try reader.token("the semantics of a group")
    ssrcs = []
    reader.skipSpaces()
    while !reader.isAtEnd {
      ssrcs.append(try reader.number("an SSRC of 32 bits"))
      if !reader.isAtEnd { try reader.space(before: "an SSRC") }
    }
  }
}

extension SSRCGroup: CustomStringConvertible {
  package var description: String { "\(semantics) \(ssrcs.map { String($0) }.joined(separator: " "))" }
}
