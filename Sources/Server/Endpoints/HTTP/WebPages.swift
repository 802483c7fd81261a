internal import CDashboard
internal import MartletCrypto
internal import MartletHTTP
internal import MartletPrimitives
package import MartletWeb

/// The dashboard, the player and their scripts, from inside the binary. All names are single segments, which no stream has.
package enum WebPages {
  package static func add(to router: Router) {
    var pages: [String: StaticContent] = [:]
    for (name, bytes) in files {
      let tag = Hex.encode(Digest.hash(.sha256, bytes).prefix(8))
      if name.hasPrefix("martlet.") && !name.hasSuffix(".svg") {
        addLibrary(name, bytes, tag, to: router)
        continue
      }
      let content = StaticContent(Slice(bytes), contentType: MediaType.of(fileName: name), etag: tag, extra: security(name))
      pages[name] = content
      router.on(.get, "/\(name)") { exchange, _ in content.respond(exchange) }
    }
    if let index = pages["index.html"] { router.on(.get, "/") { exchange, _ in index.respond(exchange) } }
    if let call = pages["call.html"] { router.on(.get, "/call/{name}") { exchange, _ in call.respond(exchange) } }
    if let player = pages["player.html"] { router.on(.get, "/play/{path...}") { exchange, _ in player.respond(exchange) } }
  }

  /// The client library is for pages of any site, so it says so whatever `http.cors` does for the rest. With `?v=` and its tag
  /// it may be kept for ever; the answer's `Content-Location` is that address.
  private static func addLibrary(_ name: String, _ bytes: [UInt8], _ tag: String, to router: Router) {
    let type = name.hasSuffix(".d.ts") ? "application/typescript" : MediaType.of(fileName: name)
    let fields: HTTPFields = ["X-Content-Type-Options": "nosniff", "Content-Location": "/\(name)?v=\(tag)"]
    let latest = StaticContent(Slice(bytes), contentType: type, etag: tag, extra: fields)
    let versioned = StaticContent(Slice(bytes), contentType: type, etag: tag, caching: "public, max-age=31536000, immutable", extra: fields)
    router.on(.get, "/\(name)") { exchange, _ in
      exchange.responseFields.set("Access-Control-Allow-Origin", "*")
      exchange.responseFields.remove("Access-Control-Allow-Credentials")
      (exchange.request.target.query.first("v") == tag ? versioned : latest).respond(exchange)
    }
  }

  private static var files: [(name: String, bytes: [UInt8])] {
    var result: [(String, [UInt8])] = []
    guard var entry = martlet_web_files() else { return [] }
    while let name = entry.pointee.name, let bytes = entry.pointee.bytes {
      result.append((String(cString: name), Array(UnsafeBufferPointer(start: bytes, count: entry.pointee.count))))
      entry += 1
    }
    return result
  }

  /// Pages run only what came with them.
  private static func security(_ name: String) -> HTTPFields {
    guard name.hasSuffix(".html") else { return ["X-Content-Type-Options": "nosniff"] }
    return [
      "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
      "Content-Security-Policy": "default-src 'self'; media-src 'self' blob:; connect-src 'self' ws: wss:; img-src 'self' blob: data:",
    ]
  }
}
