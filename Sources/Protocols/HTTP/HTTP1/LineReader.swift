internal import MartletPrimitives

/// Collects one CRLF-terminated line at a time from pieces of any size. A line feed without a carriage return before it
/// is an error: two readers that disagree on where a line ends are how requests are smuggled (RFC 9112 §2.2).
internal struct LineReader: Sendable {
  private var partial: [UInt8] = []

  enum Step: Equatable {
    case incomplete
    /// The line without its CRLF.
    case line([UInt8])
  }

  /// Bytes held of a line that is not complete.
  var pending: Int { partial.count }

  /// Takes bytes up to and including the next line feed; `offset` moves behind what was taken.
  ///
  /// - Parameters:
  ///   - maximum: bytes of the line without CRLF.
  ///   - overflow: thrown as soon as the line cannot fit any more.
  mutating func next(_ bytes: RawSpan, at offset: inout Int, maximum: Int, overflow: HTTPError) throws(HTTPError) -> Step {
    let start = offset
    guard let end = bytes.firstIndex(of: .lineFeed, from: start) else {
      guard partial.count + (bytes.byteCount - start) <= maximum + 1 else { throw overflow }
      partial.append(bytes.extracting(start..<bytes.byteCount))
      offset = bytes.byteCount
      return .incomplete
    }
    guard partial.count + (end - start) <= maximum + 1 else { throw overflow }
    var line = partial
    partial.removeAll()
    line.append(bytes.extracting(start..<end))
    offset = end + 1
    guard line.popLast() == .carriageReturn else {
      throw HTTPError(.badRequest, "a line ends with a bare line feed; CRLF was expected")
    }
    return .line(line)
  }

  mutating func reset() { partial.removeAll() }
}

extension RawSpan {
  /// Where `byte` stands next at or behind `start`.
  internal func firstIndex(of byte: UInt8, from start: Int) -> Int? {
    var index = start
    while index < byteCount {
      if unsafeLoad(fromUncheckedByteOffset: index, as: UInt8.self) == byte { return index }
      index += 1
    }
    return nil
  }
}
