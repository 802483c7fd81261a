import Glibc
import Synchronization

/// A blocking HTTP receiver of a few lines: takes one request after the other, keeps them, and answers with what the test
/// says.
package final class RawServer: Sendable {
  package let port: UInt16
  private let descriptor: Int32
  private let requests = Mutex<[String]>([])

  /// - Parameter answer: from the number of the request, counted from 0, and its text to a whole response.
  package init(answer: @escaping @Sendable (Int, String) -> String) throws {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, size) == 0 && getsockname(descriptor, $0, &size) == 0 }
    }
    guard isBound, listen(descriptor, 16) == 0 else { throw RawClientError(reason: "bind: \(String(cString: strerror(errno)))") }
    port = UInt16(bigEndian: address.sin_port)
    self.descriptor = descriptor
    let start = Unmanaged.passRetained(Start(server: self, answer: answer)).toOpaque()
    var thread = pthread_t()
    pthread_create(
      &thread, nil,
      { raw in
        guard let raw else { return nil }
        let start = Unmanaged<Start>.fromOpaque(raw).takeRetainedValue()
        start.server.run(start.answer)
        return nil
      }, start)
    pthread_detach(thread)
  }

  private final class Start {
    let server: RawServer
    let answer: @Sendable (Int, String) -> String
    init(server: RawServer, answer: @escaping @Sendable (Int, String) -> String) {
      self.server = server
      self.answer = answer
    }
  }

  /// What came so far.
  package var received: [String] { requests.withLock { $0 } }

  /// Ends the thread. Without it the server lives as long as the process.
  package func stop() { shutdown(descriptor, Int32(SHUT_RDWR)) }

  private func run(_ answer: (Int, String) -> String) {
    while true {
      let client = accept(descriptor, nil, nil)
      guard client >= 0 else {
        close(descriptor)
        return
      }
      let text = read(client)
      let number = requests.withLock { requests in
        requests.append(text)
        return requests.count - 1
      }
      let response = Array(answer(number, text).utf8)
      _ = send(client, response, response.count, Int32(MSG_NOSIGNAL))
      close(client)
    }
  }

  /// A head and as much content as it announces.
  private func read(_ client: Int32) -> String {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let text = String(decoding: bytes, as: UTF8.self)
      if let end = text.firstRange(of: "\r\n\r\n") {
        let length = text.firstRange(of: "Content-Length: ").flatMap { Int(text[$0.upperBound...].prefix { $0.isNumber }) } ?? 0
        if text[end.upperBound...].utf8.count >= length { return text }
      }
      let count = recv(client, &buffer, buffer.count, 0)
      guard count > 0 else { return text }
      bytes += buffer[..<count]
    }
  }
}
