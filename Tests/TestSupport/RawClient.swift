import Glibc
import MartletPrimitives

/// A blocking TCP client of a few lines, for tests that talk to a real server: what goes over the wire is written out in the
/// test, so that no client library can hide a mistake.
package final class RawClient: Sendable {
  private let descriptor: Int32

  package init(port: UInt16) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var timeout = timeval(tv_sec: 5, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
    guard result == 0 else { throw RawClientError(reason: "connect: \(String(cString: strerror(errno)))") }
  }

  deinit { close(descriptor) }

  package func send(_ bytes: [UInt8]) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
      guard count > 0 else { return }
      rest = rest.dropFirst(count)
    }
  }

  package func send(_ text: String) { send(Array(text.utf8)) }

  /// What arrives next, at most `count` bytes; `nil` at the end, on an error and after five seconds.
  package func receive(_ count: Int = 65536) -> [UInt8]? {
    var buffer = [UInt8](repeating: 0, count: count)
    let received = recv(descriptor, &buffer, count, 0)
    return received > 0 ? Array(buffer[..<received]) : nil
  }

  /// Everything up to the end, within `limit` bytes.
  package func receiveAll(limit: Int = 8 << 20) -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < limit, let part = receive() { bytes += part }
    return bytes
  }

  /// Sends a request that closes the connection, and takes the answer apart.
  package static func request(
    _ method: String, _ path: String, port: UInt16, fields: [String] = [], body: String = ""
  ) throws -> (status: Int, head: String, body: String) {
    let client = try RawClient(port: port)
    let host = fields.contains { $0.hasPrefix("Host:") } ? [] : ["Host: 127.0.0.1:\(port)"]
    let length = body.isEmpty && method == "GET" ? [] : ["Content-Length: \(body.utf8.count)"]
    let lines = ["\(method) \(path) HTTP/1.1"] + host + ["Connection: close"] + length + fields + ["", ""]
    client.send(lines.joined(separator: "\r\n") + body)
    let answer = String(decoding: client.receiveAll(), as: UTF8.self)
    guard let end = answer.firstRange(of: "\r\n\r\n"), let status = Int(answer.dropFirst(9).prefix(3)) else {
      throw RawClientError(reason: "no response to \(method) \(path): \(answer.prefix(200))")
    }
    return (status, String(answer[..<end.lowerBound]), String(answer[end.upperBound...]))
  }
}

package struct RawClientError: Error {
  package let reason: String
  package init(reason: String) { self.reason = reason }
}
