/// Turns text into a `SessionDescription`, in one pass and in time linear in the text.
struct SDPParser {
  private let limits: SDPLimits
  private var session: SessionDescription?
  /// Before `o=` there is no session to put things into.
  private var sawVersion = false, sawTiming = false
  private var candidates = 0
  private var line = 0

  init(limits: SDPLimits) { self.limits = limits }

  mutating func parse(_ text: String) throws(SDPError) -> SessionDescription {
    guard text.utf8.count <= limits.textBytes else { throw .limit("bytes of text", maximum: limits.textBytes, line: 1) }
    var rest = text.utf8[...]
    while !rest.isEmpty {
      line += 1
      guard line <= limits.lines else { throw .limit("lines", maximum: limits.lines, line: line) }
      let end = rest.firstIndex(of: UInt8(ascii: "\n")) ?? rest.endIndex
      var content = rest[..<end]
      if content.last == UInt8(ascii: "\r") { content = content.dropLast() }
      rest = end < rest.endIndex ? rest[rest.index(after: end)...] : rest[end...]
      // Text that was stored or pasted ends in blank lines.
      if !content.isEmpty { try take(content) }
    }
    guard let session else {
      throw .syntax(line: line + 1, column: 1, expected: sawVersion ? "an o= line" : "v=0", found: "")
    }
    return session
  }

  private mutating func take(_ content: Substring.UTF8View) throws(SDPError) {
    var reader = FieldReader(content, line: line)
    guard let type = reader.advance() else { return }
    try reader.expect("=", "a line of the form x=…")
    guard sawVersion else { return try version(type, content) }
    guard session != nil else { return try origin(type, &reader, content) }
    switch type {
    case UInt8(ascii: "a"): try attribute(&reader)
    case UInt8(ascii: "m"): try media(&reader)
    case UInt8(ascii: "c"): try connection(&reader, content)
    case UInt8(ascii: "b"): try bandwidth(&reader)
    case UInt8(ascii: "s"): name(reader.rest())
    default: try uninterpreted(type, &reader, content)
    }
  }

  private mutating func version(_ type: UInt8, _ content: Substring.UTF8View) throws(SDPError) {
    guard Substring(content) == "v=0" else { throw FieldReader(content, line: line).failure("v=0, the first line of every description") }
    sawVersion = true
  }

  /// The user name is whatever stands before the last five words: cameras write names with spaces.
  private mutating func origin(_ type: UInt8, _ reader: inout FieldReader, _ content: Substring.UTF8View) throws(SDPError) {
    guard type == UInt8(ascii: "o") else { throw FieldReader(content, line: line).failure("an o= line") }
    var ahead = reader
    let extra = try ahead.words().count - 6
    var username = try reader.token("a user name")
    for _ in 0..<max(0, extra) {
      try reader.space(before: "a user name")
      username += " " + (try reader.token("a user name"))
    }
    try reader.space(before: "a session id")
    let sessionID = try reader.choice("a numeric session id") { $0.utf8.allSatisfy { (48...57).contains($0) } ? $0 : nil }
    try reader.space(before: "a session version")
    let version: UInt64 = try reader.number("a session version of 64 bits")
    try reader.space(before: "a network type")
    var origin = SessionDescription.Origin(sessionID: 0, sessionVersion: version)
    (origin.username, origin.sessionID) = (username, sessionID)
    origin.connection = try SessionDescription.Connection(&reader)
    session = SessionDescription(origin: origin)
  }

  private mutating func media(_ reader: inout FieldReader) throws(SDPError) {
    guard let count = session?.media.count, count < limits.mediaSections else {
      throw .limit("media sections", maximum: limits.mediaSections, line: line)
    }
    let kind = try reader.token("a media type")
    try reader.space(before: "a port")
    let port: UInt16 = try reader.number("a port from 0 to 65535")
    let portCount: UInt16 = reader.consume("/") ? try reader.number("a number of ports") : 1
    try reader.space(before: "a transport protocol")
    let transport = try reader.token("a transport protocol")
    var formats: [String] = []
    reader.skipSpaces()
    while !reader.isAtEnd {
      guard formats.count < limits.formats else { throw .limit("formats", maximum: limits.formats, line: line) }
      formats.append(try reader.token("a format"))
      reader.skipSpaces()
    }
    guard !formats.isEmpty else { throw reader.failure("at least one format") }
    var media = MediaDescription(kind: .init(kind), port: port, transport: .init(rawValue: transport), formats: formats)
    media.portCount = portCount
    session?.media.append(media)
    candidates = 0
  }

  private mutating func attribute(_ reader: inout FieldReader) throws(SDPError) {
    let attribute = try SDPAttribute(&reader)
    if case .candidate = attribute {
      candidates += 1
      guard candidates <= limits.candidates else { throw .limit("candidates of a section", maximum: limits.candidates, line: line) }
    }
    let count = lastMedia.map { session?.media[$0].attributes.count ?? 0 } ?? session?.attributes.count ?? 0
    guard count < limits.attributes else { throw .limit("attributes of a section", maximum: limits.attributes, line: line) }
    if let last = lastMedia { session?.media[last].attributes.append(attribute) } else { session?.attributes.append(attribute) }
  }

  /// RFC 8866 §5.3: a blank or a dash is the name of what has none.
  private mutating func name(_ text: String) { session?.name = text.isEmpty ? "-" : text }

  /// Several in a section are the layers of a multicast (RFC 8866 §5.7), which nobody here joins.
  private mutating func connection(_ reader: inout FieldReader, _ content: Substring.UTF8View) throws(SDPError) {
    let isFirst = (lastMedia.map { session?.media[$0].connection } ?? session?.connection) == nil
    guard isFirst else { throw FieldReader(content, line: line).failure("one c= line in a section") }
    let connection = try SessionDescription.Connection(&reader)
    if let last = lastMedia { session?.media[last].connection = connection } else { session?.connection = connection }
  }

  private mutating func bandwidth(_ reader: inout FieldReader) throws(SDPError) {
    let type = try reader.token("a bandwidth type", until: ":")
    try reader.expect(":", "a colon and a bandwidth")
    let bandwidth = SessionDescription.Bandwidth(type: type, value: try reader.number("a bandwidth"))
    try reader.end()
    if let last = lastMedia { session?.media[last].bandwidths.append(bandwidth) } else { session?.bandwidths.append(bandwidth) }
  }

  private mutating func uninterpreted(_ type: UInt8, _ reader: inout FieldReader, _ content: Substring.UTF8View) throws(SDPError) {
    let allowed = lastMedia == nil ? "iueptrzk" : "ik"
    guard allowed.utf8.contains(type) else {
      throw FieldReader(content, line: line).failure(lastMedia == nil ? "a line of a session" : "a line of a media section")
    }
    if type == UInt8(ascii: "t"), !sawTiming {
      sawTiming = true
      session?.uninterpreted.removeAll { $0.type == "t" }
    }
    let line = SessionDescription.UninterpretedLine(type: Character(Unicode.Scalar(type)), value: reader.rest())
    if let last = lastMedia { session?.media[last].uninterpreted.insert(line) } else { session?.uninterpreted.insert(line) }
  }

  private var lastMedia: Int? {
    guard let session, !session.media.isEmpty else { return nil }
    return session.media.count - 1
  }
}

extension [SessionDescription.UninterpretedLine] {
  /// Lines that stand before `c=` stay before those that stand behind, as they are written.
  fileprivate mutating func insert(_ line: Element) {
    let leading = "iuep"
    let place = leading.contains(line.type) ? firstIndex { !leading.contains($0.type) } : nil
    insert(line, at: place ?? endIndex)
  }
}

extension SessionDescription {
  /// Reads a description with CRLF or LF line ends.
  ///
  /// Known attributes must follow their grammar; unknown ones are kept as they are. Whether the description makes sense for
  /// WebRTC is asked with `validateForWebRTC(as:)`.
  package init(_ text: String, limits: SDPLimits = SDPLimits()) throws(SDPError) {
    var parser = SDPParser(limits: limits)
    self = try parser.parse(text)
  }
}

extension SessionDescription.Connection {
  init(_ reader: inout FieldReader) throws(SDPError) {
    _ = try reader.choice("the network type IN") { $0 == "IN" ? true : nil }
    try reader.space(before: "an address type")
    isIPv6 = try reader.choice("the address type IP4 or IP6") { $0 == "IP4" ? false : $0 == "IP6" ? true : nil }
    try reader.space(before: "an address")
    address = try reader.token("an address")
    try reader.end()
  }
}
