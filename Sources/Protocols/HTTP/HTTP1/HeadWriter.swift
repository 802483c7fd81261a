internal import MartletPrimitives

/// Writes heads and chunk framing of HTTP/1.1. No value can break out of its line: what is not field content becomes a
/// space, and a field whose name is no token is left out.
package enum HTTP1 {
  package static let continueResponse = Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)
  package static let chunkEnd: [UInt8] = [.carriageReturn, .lineFeed]
  package static let lastChunk = Array("0\r\n\r\n".utf8)

  /// What goes before a chunk of `count` bytes, at least 1; `chunkEnd` goes behind it.
  package static func chunkStart(_ count: Int) -> [UInt8] { Array("\(String(count, radix: 16))\r\n".utf8) }

  /// The last chunk with trailers.
  package static func lastChunk(trailers: HTTPFields) -> [UInt8] {
    guard !trailers.isEmpty else { return lastChunk }
    var writer = ByteWriter()
    writer.string("0\r\n")
    write(trailers, into: &writer)
    writer.append(chunkEnd)
    return writer.bytes
  }

  static func write(_ fields: HTTPFields, leavingOut omitted: [String] = [], into writer: inout ByteWriter) {
    for field in fields where field.name.isToken && !omitted.contains(where: field.name.equalsIgnoringCase) {
      write(field.name, field.value, into: &writer)
    }
  }

  static func write(_ name: String, _ value: String, into writer: inout ByteWriter) {
    writer.string(name)
    writer.string(": ")
    if value.utf8.allSatisfy(\.isFieldContent) {
      writer.string(value)
    } else {
      for byte in value.utf8 { writer.u8(byte.isFieldContent ? byte : .space) }
    }
    writer.append(chunkEnd)
  }

  /// The fields that the writers decide on themselves.
  static let framing = ["Content-Length", "Transfer-Encoding"]
}

/// Writes the one response to one request: framing, `Date` and `Connection` follow from the request and the length.
package struct ResponseWriter: Sendable {
  private let version: HTTPVersion
  private let isHead: Bool
  /// The connection closes behind this response. May be set before the head is written, as when the server drains.
  package var closesConnection: Bool
  /// Content goes out in chunks.
  package private(set) var isChunked = false
  /// Content is to be sent at all: not to HEAD, and not with 204 or 304.
  package private(set) var sendsBody = false

  package init(respondingTo request: HTTPRequest) {
    version = request.version
    isHead = request.method == .head
    closesConnection = !request.isKeepAlive
  }

  /// To a request that could not be read.
  package init(refusing error: HTTPError) {
    version = .http11
    isHead = false
    closesConnection = true
  }

  /// The head's bytes.
  ///
  /// - Parameters:
  ///   - body: what will follow; `.chunked` becomes `.untilClose` for HTTP/1.0. To HEAD: what would have followed.
  ///   - date: the formatted `Date` (see `HTTPDate`); formatted once a second by the caller.
  package mutating func head(_ response: HTTPResponse, body: HTTPBodyLength, date: String) -> [UInt8] {
    let status = response.status
    var writer = ByteWriter(capacity: 256)
    writer.string("HTTP/1.1 \(status.code) \(status.reason)\r\n")
    if !response.fields.contains("Date"), !status.isInformational { HTTP1.write("Date", date, into: &writer) }
    if status.neverHasBody {
      HTTP1.write(response.fields, leavingOut: status == .notModified ? ["Transfer-Encoding"] : HTTP1.framing, into: &writer)
    } else {
      if response.fields.contains("Connection", token: "close") { closesConnection = true }
      sendsBody = !isHead && body != .none && body != .length(0)
      writeFraming(body, into: &writer)
      HTTP1.write(response.fields, leavingOut: HTTP1.framing + ["Connection"], into: &writer)
    }
    if !status.isInformational {
      if closesConnection {
        HTTP1.write("Connection", "close", into: &writer)
      } else if version == .http10 {
        HTTP1.write("Connection", "keep-alive", into: &writer)
      }
    }
    writer.append(HTTP1.chunkEnd)
    return writer.bytes
  }

  private mutating func writeFraming(_ body: HTTPBodyLength, into writer: inout ByteWriter) {
    switch body {
    case .none: HTTP1.write("Content-Length", "0", into: &writer)
    case .length(let count): HTTP1.write("Content-Length", "\(count)", into: &writer)
    case .chunked where version == .http11:
      HTTP1.write("Transfer-Encoding", "chunked", into: &writer)
      isChunked = sendsBody
    case .chunked, .untilClose: closesConnection = true
    }
  }
}

/// Writes requests, for a client.
package enum RequestWriter {
  /// The head's bytes. `Host` comes first; it is taken from the fields, or else from the target.
  ///
  /// - Parameter body: `.untilClose` is not possible in a request and counts as `.chunked`.
  package static func head(_ request: HTTPRequest, body: HTTPBodyLength) -> [UInt8] {
    var writer = ByteWriter(capacity: 256)
    writer.string("\(request.method.rawValue) \(request.target.serialized) \(request.version == .http10 ? "HTTP/1.0" : "HTTP/1.1")\r\n")
    HTTP1.write("Host", request.fields.first("Host") ?? request.target.authority ?? "", into: &writer)
    switch body {
    case .none:
      // RFC 9110 §8.6: methods that are meant to carry content say so when they carry none.
      if [.post, .put, .patch].contains(request.method) { HTTP1.write("Content-Length", "0", into: &writer) }
    case .length(let count): HTTP1.write("Content-Length", "\(count)", into: &writer)
    case .chunked, .untilClose: HTTP1.write("Transfer-Encoding", "chunked", into: &writer)
    }
    HTTP1.write(request.fields, leavingOut: HTTP1.framing + ["Host"], into: &writer)
    writer.append(HTTP1.chunkEnd)
    return writer.bytes
  }
}
