/// `group` (RFC 5888 §5): sections that belong together, by `mid`.
package struct SDPGroup: Equatable, Sendable {
  /// `BUNDLE` (RFC 8843) or `LS`, lip synchronisation.
  package var semantics: String
  package var mids: [String]

  package init(semantics: String, mids: [String]) {
    self.semantics = semantics
    self.mids = mids
  }

  package static func bundle(_ mids: [String]) -> SDPGroup { SDPGroup(semantics: "BUNDLE", mids: mids) }

  init(_ reader: inout FieldReader) throws(SDPError) {
    semantics = try reader.token("the semantics of a group")
    mids = try reader.words()
  }
}

extension SDPGroup: CustomStringConvertible {
  package var description: String { ([semantics] + mids).joined(separator: " ") }
}

/// `msid-semantic`, of a draft before RFC 8830; browsers still write it.
package struct MSIDSemantic: Equatable, Sendable {
  package var semantic: String
  /// `*` stands for all.
  package var ids: [String]

  package init(semantic: String = "WMS", ids: [String] = ["*"]) {
    self.semantic = semantic
    self.ids = ids
  }

  init(_ reader: inout FieldReader) throws(SDPError) {
    reader.skipSpaces()
    semantic = try reader.token("WMS")
    ids = try reader.words()
  }
}

extension MSIDSemantic: CustomStringConvertible {
  package var description: String { ([semantic] + ids).joined(separator: " ") }
}

/// `msid` (RFC 8830 §2): the MediaStream and the track of a section. `-` as a stream is none.
package struct MediaStreamID: Equatable, Sendable {
  package var stream: String
  package var track: String?

  package init(stream: String, track: String? = nil) {
    self.stream = stream
    self.track = track
  }

  init(_ reader: inout FieldReader) throws(SDPError) {
    stream = try reader.token("the id of a stream")
    reader.skipSpaces()
    if !reader.isAtEnd { track = try reader.token("the id of a track") }
  }
}

extension MediaStreamID: CustomStringConvertible {
  package var description: String { stream + (track.map { " " + $0 } ?? "") }
}
