import Foundation
import MartletHTTP
import MartletIO
import MartletPrimitives
import MartletWeb
import Testing

@Suite(.serialized, .timeLimit(.minutes(5))) struct StaticFilesTests {
  private let loopback: Loopback
  private let root: URL
  private let script = String(repeating: "let martlet = 'never lands';\n", count: 200)
  private let large: Data

  init() throws {
    loopback = try Loopback()
    root = FileManager.default.temporaryDirectory.appending(path: "martlet-static-\(UUID().uuidString)")
    large = Data((0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7 >> 4) })
    let folder = root.appending(path: "web")
    for name in ["docs", ".git", "sub"] {
      try FileManager.default.createDirectory(at: folder.appending(path: name), withIntermediateDirectories: true)
    }
    try Data("secret".utf8).write(to: root.appending(path: "secret.txt"))
    try Data("<p>home".utf8).write(to: folder.appending(path: "index.html"))
    try Data("<p>docs".utf8).write(to: folder.appending(path: "docs/index.html"))
    try Data(script.utf8).write(to: folder.appending(path: "app.js"))
    try Data("secret".utf8).write(to: folder.appending(path: ".git/config"))
    try large.write(to: folder.appending(path: "video.mp4"))
    try large.write(to: folder.appending(path: "map.json"))
    try Data("not really gzip".utf8).write(to: folder.appending(path: "map.json.gz"))
    try FileManager.default.createSymbolicLink(
      at: folder.appending(path: "link.txt"), withDestinationURL: root.appending(path: "secret.txt"))
    try FileManager.default.createSymbolicLink(at: folder.appending(path: "up"), withDestinationURL: root)
  }

  private func start() async throws -> String {
    let folder = root.appending(path: "web").path
    let served = await loopback.server.run { context -> UInt16 in
      let pool = ThreadPool(name: "disk", threads: 2)
      context.register(FileTransfers(context, pool: pool))
      let files = StaticFiles(.init(path: folder), pool: pool, in: context)
      context.register(files)
      let router = Router()
      router.fallback(files.handle)
      let http = HTTPServer(.init(), router: router, in: context)
      context.register(http)
      return (try? http.listen(on: Loopback.any, census: ConnectionCensus()).port) ?? 0
    }
    await loopback.client.run { context in context.register(HTTPClient(in: context)) }
    return "http://127.0.0.1:\(served)/"
  }

  private func get(_ url: String, _ fields: HTTPFields = [:], method: HTTPMethod = .get, redirects: Int = 0) async throws
    -> HTTPClientResponse
  {
    var request = HTTPClientRequest(method, try #require(URLReference(url)), fields)
    request.redirects = redirects
    return try await HTTPClient.fetch(request, on: loopback.client.loop, limit: 8 << 20)
  }

  private func finish() {
    loopback.stop()
    try? FileManager.default.removeItem(at: root)
  }

  @Test func `files are served with type, validators and length`() async throws {
    defer { finish() }
    let base = try await start()
    let page = try await get(base)
    #expect(page.head.status == .ok)
    #expect(String(decoding: page.body, as: UTF8.self) == "<p>home")
    #expect(page.head.fields.first("Content-Type") == "text/html; charset=utf-8")
    #expect(page.head.fields.first("X-Content-Type-Options") == "nosniff")
    let etag = try #require(page.head.fields.first("ETag"))
    let modified = try #require(page.head.fields.first("Last-Modified"))
    #expect(try await get(base + "index.html", ["If-None-Match": etag]).head.status == .notModified)
    #expect(try await get(base, ["If-Modified-Since": modified]).head.status == .notModified)
    let head = try await get(base + "video.mp4", method: .head)
    #expect(head.head.fields.first("Content-Length") == "3000000")
    #expect(head.body.isEmpty)
  }

  // RFC 9110 §14.
  @Test func `ranges of small and large files are cut as asked`() async throws {
    defer { finish() }
    let base = try await start()
    let whole = try await get(base + "video.mp4")
    #expect(whole.body == Array(large))
    let part = try await get(base + "video.mp4", ["Range": "bytes=1000000-1999999"])
    #expect(part.head.status == .partialContent)
    #expect(part.head.fields.first("Content-Range") == "bytes 1000000-1999999/3000000")
    #expect(part.body == Array(large[1_000_000..<2_000_000]))
    let etag = try #require(whole.head.fields.first("ETag"))
    #expect(try await get(base + "video.mp4", ["Range": "bytes=0-0", "If-Range": etag]).head.status == .partialContent)
    #expect(try await get(base + "video.mp4", ["Range": "bytes=0-0", "If-Range": "\"other\""]).head.status == .ok)
    #expect(try await get(base + "video.mp4", ["Range": "bytes=3000000-"]).head.status == .rangeNotSatisfiable)
    let small = try await get(base + "app.js", ["Range": "bytes=4-10", "Accept-Encoding": "gzip"])
    #expect(String(decoding: small.body, as: UTF8.self) == "martlet")
  }

  @Test func `text goes compressed to those who ask for it, from the file beside it where there is one`() async throws {
    defer { finish() }
    let base = try await start()
    let plain = try await get(base + "app.js")
    #expect(String(decoding: plain.body, as: UTF8.self) == script)
    let zipped = try await get(base + "app.js", ["Accept-Encoding": "gzip"])
    #expect(zipped.head.fields.first("Content-Encoding") == "gzip")
    #expect(zipped.body.count < script.utf8.count / 10)
    #expect(zipped.head.fields.first("ETag") != plain.head.fields.first("ETag"))
    #expect(zipped.head.fields.first("Vary") == "Accept-Encoding")
    let beside = try await get(base + "map.json", ["Accept-Encoding": "gzip"])
    #expect(String(decoding: beside.body, as: UTF8.self) == "not really gzip")
    #expect(beside.head.fields.first("Content-Type") == "application/json")
    #expect(try await get(base + "map.json").body == Array(large))
    #expect(try await get(base + "video.mp4", ["Accept-Encoding": "gzip"]).head.fields.first("Content-Encoding") == nil)
  }

  @Test func `a folder shows its index, behind a slash`() async throws {
    defer { finish() }
    let base = try await start()
    let moved = try await get(base + "docs?a=b")
    #expect(moved.head.status == .movedPermanently)
    #expect(moved.head.fields.first("Location") == "/docs/?a=b")
    #expect(String(decoding: try await get(base + "docs", redirects: 1).body, as: UTF8.self) == "<p>docs")
    #expect(try await get(base + "sub/").head.status == .notFound)
    #expect(try await get(base + "/docs").head.fields.first("Location") == "/docs/")
  }

  @Test(arguments: [
    "link.txt", "up/secret.txt", "up/web/index.html", ".git/config", "docs/.hidden", "%2e%2e/secret.txt", "..%2fsecret.txt", "app.js/",
    "nothing", "docs/index.html/x", "%00", "a%5c..%5csecret.txt",
  ])
  func `what is not in the folder is not there`(path: String) async throws {
    defer { finish() }
    let base = try await start()
    var status = HTTPStatus.notFound
    do { status = try await get(base + path).head.status } catch let error as HTTPClientError { #expect(error.code == .invalid) }
    #expect(status == .notFound)
  }

  @Test func `a changed file is seen a second later`() async throws {
    defer { finish() }
    let base = try await start()
    let first = try await get(base + "app.js")
    try Data("changed".utf8).write(to: root.appending(path: "web/app.js"))
    try await Task.sleep(nanoseconds: 1_100_000_000)
    let second = try await get(base + "app.js")
    #expect(String(decoding: second.body, as: UTF8.self) == "changed")
    #expect(first.head.fields.first("ETag") != second.head.fields.first("ETag"))
    try FileManager.default.removeItem(at: root.appending(path: "web/app.js"))
    try await Task.sleep(nanoseconds: 1_100_000_000)
    #expect(try await get(base + "app.js").head.status == .notFound)
  }
}
