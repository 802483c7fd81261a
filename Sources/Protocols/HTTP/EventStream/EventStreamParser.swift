package import MartletPrimitives

/// One event of a `text/event-stream`.
package struct ServerSentEvent: Equatable, Sendable {
  /// The last event id when it was dispatched: of this event, or of an earlier one that had an id.
  package var id: String
  /// `message` unless the server named it.
  package var event: String
  package var data: String

  package init(id: String = "", event: String = "message", data: String) {
    self.id = id
    self.event = event
    self.data = data
  }
}

/// Reads `text/event-stream` (HTML Living Standard §9.2.5 and §9.2.6): bytes in, however they are cut; events out.
///
/// An event that the stream's end cuts off is dropped, as §9.2.6 asks: begin with a fresh parser, and `lastEventID` of the old
/// one, for the next connection.
package struct EventStreamParser: Sendable {
  package struct Limits: Equatable, Sendable {
    /// Bytes of one line without its end.
    package var line = 1 << 20
    /// Bytes of one event's data and name together.
    package var event = 4 << 20

    package init() {}
  }

  private let limits: Limits
  /// Bytes of the byte order mark that came, while there may be one.
  private var markCount: Int? = 0
  private var line: [UInt8] = []
  private var endedWithCR = false
  private var data: [UInt8] = []
  private var hasData = false
  private var name = ""
  private var idBuffer: String
  /// What `Last-Event-ID` of the next connection says; empty is none.
  package private(set) var lastEventID: String
  /// How long the server asks to wait before the next connection; `nil` until it says so.
  package private(set) var retry: TimeSpan?

  private static let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
  private static let cr = UInt8(ascii: "\r"), lf = UInt8(ascii: "\n")

  package init(lastEventID: String = "", limits: Limits = Limits()) {
    self.limits = limits
    self.lastEventID = lastEventID
    idBuffer = lastEventID
  }

  /// Bytes of an incomplete line or event that are held.
  package var heldBytes: Int { line.count + data.count }

  /// Takes what arrived and appends the events that it completes.
  ///
  /// - Throws: `.limit` for a line or an event that is too long; the parser must not be used again.
  package mutating func receive(_ bytes: RawSpan, into events: inout [ServerSentEvent]) throws(ParseError) {
    var offset = skipMark(bytes)
    while offset < bytes.byteCount {
      let first = bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self)
      // LF behind CR ends no second line, also when the two came apart.
      if exchange(&endedWithCR, with: false), first == Self.lf {
        offset += 1
        continue
      }
      let end = Self.lineEnd(bytes, from: offset)
      guard line.count + end - offset <= limits.line else { throw .limit("a line of an event stream", maximum: limits.line) }
      line.append(bytes.extracting(offset..<end))
      guard end < bytes.byteCount else { return }
      endedWithCR = bytes.unsafeLoad(fromByteOffset: end, as: UInt8.self) == Self.cr
      offset = end + 1
      try takeLine(into: &events)
    }
  }

  private static func lineEnd(_ bytes: RawSpan, from offset: Int) -> Int {
    var end = offset
    while end < bytes.byteCount {
      let byte = bytes.unsafeLoad(fromByteOffset: end, as: UInt8.self)
      if byte == lf || byte == cr { return end }
      end += 1
    }
    return end
  }

  /// One leading U+FEFF is no part of the stream. What only begins like it is.
  private mutating func skipMark(_ bytes: RawSpan) -> Int {
    var offset = 0
    while let count = markCount, offset < bytes.byteCount {
      guard bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self) == Self.mark[count] else {
        line.append(contentsOf: Self.mark[..<count])
        markCount = nil
        return offset
      }
      offset += 1
      markCount = count + 1 < Self.mark.count ? count + 1 : nil
    }
    return offset
  }

  // MARK: Lines

  private mutating func takeLine(into events: inout [ServerSentEvent]) throws(ParseError) {
    defer { line.removeAll(keepingCapacity: line.capacity <= 65536) }
    guard let first = line.first else { return dispatch(into: &events) }
    let colon = line.firstIndex(of: UInt8(ascii: ":"))
    // A comment.
    if colon == 0, first == UInt8(ascii: ":") { return }
    var value = line[(colon.map { $0 + 1 } ?? line.endIndex)...]
    if value.first == UInt8(ascii: " ") { value = value.dropFirst() }
    try take(String(decoding: line[..<(colon ?? line.endIndex)], as: UTF8.self), value)
  }

  private mutating func take(_ field: String, _ value: ArraySlice<UInt8>) throws(ParseError) {
    switch field {
    case "data":
      guard data.count + value.count + name.utf8.count < limits.event else { throw .limit("an event's data", maximum: limits.event) }
      if exchange(&hasData, with: true) { data.append(Self.lf) }
      data.append(contentsOf: value)
    case "event":
      guard data.count + value.count < limits.event else { throw .limit("an event's name", maximum: limits.event) }
      name = String(decoding: value, as: UTF8.self)
    case "id":
      if !value.contains(0) { idBuffer = String(decoding: value, as: UTF8.self) }
    case "retry":
      guard !value.isEmpty, value.allSatisfy({ (48...57).contains($0) }) else { return }
      // More than a day is a day.
      let milliseconds = Int(String(decoding: value, as: UTF8.self)) ?? .max
      retry = .milliseconds(min(milliseconds, 86_400_000))
    default: break
    }
  }

  /// §9.2.6: without data there is no event, but the id counts.
  private mutating func dispatch(into events: inout [ServerSentEvent]) {
    lastEventID = idBuffer
    let (bytes, event) = (exchange(&data, with: []), exchange(&name, with: ""))
    // The standard looks at the buffer, which a single empty `data` fills with a line feed.
    guard exchange(&hasData, with: false) else { return }
    events.append(
      ServerSentEvent(id: lastEventID, event: event.isEmpty ? "message" : event, data: String(decoding: bytes, as: UTF8.self)))
  }
}
