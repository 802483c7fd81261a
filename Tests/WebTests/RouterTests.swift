import MartletHTTP
import MartletIO
import MartletPrimitives
import Testing

@testable import MartletWeb

@Suite(.serialized, .timeLimit(.minutes(5))) struct RouterTests {
  /// Status, `Allow` and body of the answer to one request.
  private func ask(
    _ path: String, _ method: HTTPMethod = .get, fields: HTTPFields = [:], routes: @escaping @Sendable (Router) -> Void
  ) async throws -> (status: Int, fields: HTTPFields, body: String) {
    let loop = TestLoop()
    defer { loop.stop() }
    let answer = try await loop.run { context, clients -> (Int, HTTPFields, [UInt8]) in
      let router = Router()
      routes(router)
      try clients.get(path, fields, method: method, in: context)
      router.route(clients.exchanges[0])
      let transport = clients.transports[0]
      return (transport.response?.status.code ?? 0, transport.response?.fields ?? [:], transport.body)
    }
    return (answer.0, answer.1, String(decoding: answer.2, as: UTF8.self))
  }

  private static func say(_ text: String) -> Router.Handler {
    { exchange, parameters in exchange.respond(.ok, [:], Slice(Array("\(text) \(parameters["name"]) \(parameters["rest"])".utf8))) }
  }

  private static let routes: @Sendable (Router) -> Void = { router in
    router.on(.get, "/api/{name}", say("one"))
    router.on(.get, "/api/fixed", say("fixed"))
    router.on(.post, "/api/fixed", say("posted"))
    router.on(.get, "/files/{rest...}", say("tail"))
    router.fallback { exchange in
      guard exchange.request.target.path == "/live/cam" else { return false }
      exchange.respond(.ok, [:], Slice(Array("fallback".utf8)))
      return true
    }
  }

  @Test(arguments: [
    ("/api/fixed", "fixed  "), ("/api/x%20y", "one x y "), ("/files/a/b%20c", "tail  a/b c"), ("/live/cam", "fallback"),
  ]) func `literal paths come before patterns, patterns before fallbacks`(_ path: String, _ body: String) async throws {
    let answer = try await ask(path, routes: Self.routes)
    #expect(answer.status == 200 && answer.body == body)
  }

  @Test(arguments: ["/", "/api", "/api/a/b", "/files", "/live/other"]) func `what nobody takes is not there`(_ path: String) async throws {
    #expect(try await ask(path, routes: Self.routes).status == 404)
  }

  // RFC 9110 §15.5.6, §9.3.7.
  @Test func `another method is told which ones there are`() async throws {
    let refused = try await ask("/api/other", .delete, routes: Self.routes)
    #expect(refused.status == 405 && refused.fields.first("Allow") == "GET, HEAD")
    let options = try await ask("/api/fixed", .options, routes: Self.routes)
    #expect(options.status == 204 && options.fields.contains("Allow", token: "POST") && options.fields.contains("Allow", token: "HEAD"))
    #expect(try await ask("/api/fixed", .post, routes: Self.routes).body == "posted  ")
  }

  @Test func `content in memory is compressed, cut and validated like a file`() async throws {
    let text = String(repeating: "martlet ", count: 200)
    let serve: @Sendable (Router) -> Void = { router in
      let content = StaticContent(Slice(Array(text.utf8)), contentType: "text/plain", etag: "v1")
      router.on(.get, "/t") { exchange, _ in content.respond(exchange) }
    }
    let plain = try await ask("/t", routes: serve)
    #expect(plain.status == 200 && plain.body == text && plain.fields.first("ETag") == "\"v1\"")
    let zipped = try await ask("/t", fields: ["Accept-Encoding": "gzip"], routes: serve)
    #expect(zipped.fields.first("Content-Encoding") == "gzip" && zipped.fields.first("ETag") == "\"v1-gz\"")
    let part = try await ask("/t", fields: ["Range": "bytes=0-6", "Accept-Encoding": "gzip"], routes: serve)
    #expect(part.status == 206 && part.body == "martlet" && part.fields.first("Content-Range") == "bytes 0-6/1600")
    #expect(try await ask("/t", fields: ["If-None-Match": "\"v1\""], routes: serve).status == 304)
    #expect(try await ask("/t", fields: ["If-Match": "\"v2\""], routes: serve).status == 412)
    #expect(try await ask("/t", fields: ["Range": "bytes=5000-"], routes: serve).status == 416)
  }
}
