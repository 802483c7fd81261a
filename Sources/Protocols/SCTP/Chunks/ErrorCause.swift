package import MartletPrimitives

/// An error cause of ABORT and ERROR (RFC 9260 §3.3.10).
package struct ErrorCause: Equatable, Sendable {
  package enum Code {
    package static let invalidStream: UInt16 = 1
    package static let staleCookie: UInt16 = 3
    package static let outOfResource: UInt16 = 4
    package static let unrecognizedChunk: UInt16 = 6
    package static let noUserData: UInt16 = 9
    package static let userInitiatedAbort: UInt16 = 12
    package static let protocolViolation: UInt16 = 13
  }

  package var code: UInt16
  package var info: [UInt8]

  package init(_ code: UInt16, info: [UInt8] = []) {
    self.code = code
    self.info = info
  }

  package init(_ code: UInt16, text: String) { self.init(code, info: Array(text.utf8)) }

  /// The causes of a chunk, at most `maximum` of them and `infoBytes` of each.
  package static func parse(_ body: RawSpan, maximum: Int = 8, infoBytes: Int = 256) throws(ParseError) -> [ErrorCause] {
    var reader = ByteReader(body)
    var causes: [ErrorCause] = []
    while !reader.isAtEnd, causes.count < maximum {
      let header = try ParameterHeader(parsing: &reader)
      let info = try reader.bytes(header.bodyBytes)
      try reader.skip(min(header.padding, reader.remaining))
      causes.append(ErrorCause(header.type, info: Array(copying: info.extracting(0..<min(infoBytes, info.byteCount)))))
    }
    return causes
  }

  func write(into writer: inout ByteWriter) {
    let start = writer.beginBlock()
    writer.append(info)
    writer.endParameter(code, at: start)
  }

  /// ABORT or ERROR with these causes.
  package static func chunk(_ type: UInt8, flags: UInt8 = 0, _ causes: [ErrorCause]) -> [UInt8] {
    var writer = ByteWriter()
    let start = writer.beginBlock()
    for cause in causes { cause.write(into: &writer) }
    writer.endChunk(type, flags: flags, at: start)
    return writer.bytes
  }
}
