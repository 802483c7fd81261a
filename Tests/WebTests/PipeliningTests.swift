import MartletHTTP
import MartletIO
import MartletPrimitives
import MartletWeb
import TestSupport
import Testing

/// HTTP/1.1 on one connection (RFC 9112 §9.3.2), byte for byte.
@Suite(.serialized, .timeLimit(.minutes(5))) struct PipeliningTests {
  private let loopback: Loopback
  init() throws { loopback = try Loopback() }

  private func talk(_ text: String) async throws -> String {
    defer { loopback.stop() }
    let port = try await loopback.serve { router in
      router.on(.get, "/late") { exchange, _ in
        exchange.context.schedule(after: .milliseconds(50)) { exchange.respond(.ok, [:], Slice(Array("[late]".utf8))) }
      }
      router.on(.get, "/now/{name}") { exchange, parameters in
        exchange.respond(.ok, [:], Slice(Array("[\(parameters["name"])]".utf8)))
      }
    }
    let client = try RawClient(port: port)
    client.send(text)
    return String(decoding: client.receiveAll(), as: UTF8.self)
  }

  private func bodies(_ answer: String) -> [String] {
    answer.split(separator: "[").dropFirst().compactMap { $0.split(separator: "]").first.map(String.init) }
  }

  @Test func `answers come in the order of the requests, also behind a slow one`() async throws {
    let requests = ["/now/a", "/late", "/now/b", "/now/c"].map { "GET \($0) HTTP/1.1\r\nHost: h\r\n\r\n" }
    let answer = try await talk(requests.joined() + "GET /now/d HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    #expect(bodies(answer) == ["a", "late", "b", "c", "d"])
  }

  @Test func `what comes behind Connection close is not answered`() async throws {
    let answer = try await talk(
      "GET /now/a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /now/b HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(bodies(answer) == ["a"])
  }

  @Test func `a malformed request behind good ones is refused in its turn`() async throws {
    let answer = try await talk(
      "GET /now/a HTTP/1.1\r\nHost: h\r\n\r\nGET /late HTTP/1.1\r\nHost: h\r\n\r\nBAD\r\n\r\nGET /now/b HTTP/1.1\r\n\r\n")
    #expect(bodies(answer).prefix(2) == ["a", "late"])
    #expect(answer.components(of: "HTTP/1.1 ") == ["200", "200", "400"])
  }

  @Test func `a HEAD has the length and no content, and the next answer follows at once`() async throws {
    let answer = try await talk(
      "HEAD /now/abc HTTP/1.1\r\nHost: h\r\n\r\nGET /now/d HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    #expect(bodies(answer) == ["d"] && answer.contains("Content-Length: 5"))
  }
}

extension String {
  /// The three characters behind each `marker`.
  fileprivate func components(of marker: String) -> [String] {
    var found: [String] = []
    var rest = self[...]
    while let range = rest.firstRange(of: marker) {
      rest = rest[range.upperBound...]
      found.append(String(rest.prefix(3)))
    }
    return found
  }
}
