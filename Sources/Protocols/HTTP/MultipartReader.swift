package import MartletPrimitives

/// Takes the content of a `multipart/form-data` request apart as it comes (RFC 7578, RFC 2046 §5.1). Nothing of a part is held
/// back but what may be the beginning of a delimiter.
package struct MultipartReader: Sendable {
  package struct Limits: Equatable, Sendable {
    package var parts = 100
    /// Bytes of the fields of one part.
    package var fieldBytes = 8 << 10
    package var fields = 16
    /// Bytes before the first delimiter, and of padding behind one.
    package var preamble = 1024
    package init() {}
  }

  package enum Event: Equatable, Sendable {
    case part(HTTPFields)
    case data(Slice)
    case partEnd
    /// What comes behind it is dropped.
    case end
  }

  private enum State: Equatable, Sendable { case preamble, afterDelimiter, fields, data, ended }

  private let limits: Limits
  /// CRLF, two dashes and the boundary.
  private let delimiter: [UInt8]
  private var state = State.preamble
  /// Bytes not decided on.
  private var pending: [UInt8]
  private var events = Deque<Event>()
  private var parts = 0
  private var skipped = 0

  /// The boundary of a `Content-Type`; `nil` when it is another type.
  /// - Throws: 400 when it is this type and names no valid boundary.
  package static func boundary(of contentType: String) throws(HTTPError) -> [UInt8]? {
    let pieces = contentType.split(separator: ";", maxSplits: 8)
    guard let type = pieces.first, type.trimmed.lowercased() == "multipart/form-data" else { return nil }
    for piece in pieces.dropFirst() {
      let pair = piece.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard pair.count == 2, pair[0].trimmed.lowercased() == "boundary" else { continue }
      var value = pair[1].trimmed
      if value.utf8.count >= 2, value.hasPrefix("\""), value.hasSuffix("\"") { value = value.dropFirst().dropLast() }
      // RFC 2046 §5.1.1: 1 to 70 of these, the last no space.
      guard (1...70).contains(value.utf8.count), !value.hasSuffix(" "),
        value.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") })
      else { break }
      return Array(value.utf8)
    }
    throw HTTPError(.badRequest, "multipart/form-data needs a boundary of 1 to 70 characters in Content-Type")
  }

  package init(boundary: [UInt8], limits: Limits = Limits()) {
    self.limits = limits
    delimiter = Array("\r\n--".utf8) + boundary
    // The first delimiter has no line before it; so it looks like all the others.
    pending = Array("\r\n".utf8)
  }

  package var isEnded: Bool { state == .ended }

  package mutating func receive(_ bytes: Slice) throws(HTTPError) {
    guard state != .ended else { return }
    bytes.withUnsafeBytes { pending.append(contentsOf: $0) }
    var offset = 0
    while try step(&offset) {}
    pending.removeFirst(offset)
  }

  package mutating func pollEvent() -> Event? { events.popFirst() }

  /// The content is over.
  package mutating func finish() throws(HTTPError) {
    guard state == .ended else { throw HTTPError(.badRequest, "the form ends before its last delimiter") }
  }

  /// Takes what can be decided; false when more bytes are needed.
  private mutating func step(_ offset: inout Int) throws(HTTPError) -> Bool {
    switch state {
    case .preamble, .data: return try content(&offset)
    case .afterDelimiter: return try afterDelimiter(&offset)
    case .fields: return try fields(&offset)
    case .ended:
      offset = pending.count
      return false
    }
  }

  private mutating func content(_ offset: inout Int) throws(HTTPError) -> Bool {
    let found = Self.find(delimiter, in: pending, from: offset)
    // Without a whole delimiter, its possible beginning stays.
    let end = found ?? Self.partialMatch(delimiter, in: pending, from: offset)
    if state == .data {
      if end > offset { events.append(.data(Slice(Array(pending[offset..<end])))) }
    } else {
      skipped += end - offset
      guard skipped <= limits.preamble else { throw HTTPError(.badRequest, "the form does not begin with its delimiter") }
    }
    offset = end
    guard found != nil else { return false }
    if state == .data { events.append(.partEnd) }
    offset += delimiter.count
    (state, skipped) = (.afterDelimiter, 0)
    return true
  }

  /// `--` ends the form, padding and a line end begin a part.
  private mutating func afterDelimiter(_ offset: inout Int) throws(HTTPError) -> Bool {
    while offset < pending.count, pending[offset] == .space || pending[offset] == .tab {
      offset += 1
      skipped += 1
      guard skipped <= limits.preamble else { throw HTTPError(.badRequest, "a delimiter of the form is followed by too much space") }
    }
    guard offset + 2 <= pending.count else { return false }
    if pending[offset] == UInt8(ascii: "-"), pending[offset + 1] == UInt8(ascii: "-") {
      state = .ended
      events.append(.end)
      return true
    }
    guard pending[offset] == .carriageReturn, pending[offset + 1] == .lineFeed else {
      throw HTTPError(.badRequest, "a delimiter of the form is followed by something else than a line end")
    }
    parts += 1
    guard parts <= limits.parts else { throw HTTPError(.contentTooLarge, "the form has more than \(limits.parts) parts") }
    // The line end may be that of an empty field block, too.
    state = .fields
    return true
  }

  /// Fields stand between the delimiter's line end and an empty line.
  private mutating func fields(_ offset: inout Int) throws(HTTPError) -> Bool {
    guard let end = Self.find([13, 10, 13, 10], in: pending, from: offset) else {
      guard pending.count - offset <= limits.fieldBytes else {
        throw HTTPError(.headerFieldsTooLarge, "the fields of a part exceed \(limits.fieldBytes) bytes")
      }
      return false
    }
    guard end - offset <= limits.fieldBytes else {
      throw HTTPError(.headerFieldsTooLarge, "the fields of a part exceed \(limits.fieldBytes) bytes")
    }
    var fields = HTTPFields()
    for line in pending[offset..<end].split(separator: .lineFeed) {
      let line = line.last == .carriageReturn ? line.dropLast() : line
      if line.isEmpty { continue }
      guard let colon = line.firstIndex(of: UInt8(ascii: ":")), let text = String(validating: line, as: UTF8.self),
        !line.contains(.carriageReturn), !line.contains(0), fields.count < limits.fields
      else { throw HTTPError(.badRequest, "a field of a part is malformed, or there are more than \(limits.fields)") }
      let name = String(decoding: line[..<colon], as: UTF8.self)
      guard name.isToken else { throw HTTPError(.badRequest, "a field of a part has no valid name") }
      fields.append(name, String(text.dropFirst(name.count + 1).trimmed))
    }
    events.append(.part(fields))
    // The last line end may begin the delimiter of an empty part.
    offset = end + 4
    state = .data
    return true
  }

  private static func find(_ needle: [UInt8], in bytes: [UInt8], from start: Int) -> Int? {
    guard let first = needle.first else { return start }
    var index = start
    let last = bytes.count - needle.count
    while index <= last {
      guard let next = bytes[index...last].firstIndex(of: first) else { return nil }
      if bytes[next..<next + needle.count].elementsEqual(needle) { return next }
      index = next + 1
    }
    return nil
  }

  /// Where a beginning of `needle` stands at the end of `bytes`, else the end.
  private static func partialMatch(_ needle: [UInt8], in bytes: [UInt8], from start: Int) -> Int {
    var index = max(start, bytes.count - needle.count + 1)
    while index < bytes.count {
      if needle.starts(with: bytes[index...]) { return index }
      index += 1
    }
    return bytes.count
  }
}
