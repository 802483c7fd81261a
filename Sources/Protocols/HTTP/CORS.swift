/// Decides on cross-origin requests (the CORS protocol of the WHATWG Fetch standard, §3.3).
package struct CORSPolicy: Equatable, Sendable {
  package enum Origins: Equatable, Sendable {
    /// `*`. Never together with credentials: then no origin is allowed at all.
    case any
    /// Compared exactly, as `https://example.org`.
    case exactly(Set<String>)
  }

  package var origins: Origins
  package var allowsCredentials: Bool
  package var methods: [String]
  /// Request fields that scripts may set; compared without regard to case.
  package var headers: [String]
  /// How long a browser may keep a preflight's answer.
  package var maxAgeSeconds: Int
  /// Response fields that scripts may read.
  package var exposedHeaders: [String]

  package init(
    origins: Origins, allowsCredentials: Bool = false,
    methods: [String] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
    headers: [String] = [
      "Authorization", "Content-Type", "Content-Range", "If-Match", "If-None-Match", "Last-Event-ID", "Range", "Content-Digest",
      "Repr-Digest", "Idempotency-Key", "Tus-Resumable", "Upload-Checksum", "Upload-Defer-Length", "Upload-Length", "Upload-Metadata",
      "Upload-Offset", "X-HTTP-Method-Override", "X-Requested-With",
    ],
    maxAgeSeconds: Int = 7200,
    exposedHeaders: [String] = [
      "Location", "ETag", "Link", "Content-Range", "Range", "Upload-Complete", "Upload-Expires", "Upload-Length", "Upload-Metadata",
      "Upload-Offset", "Tus-Checksum-Algorithm", "Tus-Extension", "Tus-Max-Size", "Tus-Resumable", "Tus-Version",
    ]
  ) {
    self.origins = origins
    self.allowsCredentials = allowsCredentials
    self.methods = methods
    self.headers = headers
    self.maxAgeSeconds = maxAgeSeconds
    self.exposedHeaders = exposedHeaders
  }

  package enum Decision: Equatable, Sendable {
    /// Not a cross-origin request, or one of an origin that is not allowed: go on, with these fields (`Vary`) added. The
    /// browser keeps the response from the page.
    case proceed(HTTPFields)
    /// A preflight: answer 204 with these fields and do not run the handler.
    case preflight(HTTPFields)
  }

  /// What to do with a request, and the fields its response gets.
  package func decide(_ request: HTTPRequest) -> Decision {
    let origins = request.fields.all("Origin")
    let origin = origins.count == 1 ? origins[0] : nil
    let isPreflight = request.method == .options && origin != nil && request.fields.contains("Access-Control-Request-Method")
    var fields = originFields(origin)
    guard isPreflight else {
      if fields.contains("Access-Control-Allow-Origin"), !exposedHeaders.isEmpty {
        fields.append("Access-Control-Expose-Headers", exposedHeaders.joined(separator: ", "))
      }
      return .proceed(fields)
    }
    guard fields.contains("Access-Control-Allow-Origin") else { return .preflight(fields) }
    fields.append("Access-Control-Allow-Methods", methods.joined(separator: ", "))
    fields.append("Access-Control-Allow-Headers", headers.joined(separator: ", "))
    fields.append("Access-Control-Max-Age", String(maxAgeSeconds))
    return .preflight(fields)
  }

  /// Whether scripts of `origin` may use this server; also for the handshake of a WebSocket.
  package func allows(_ origin: String) -> Bool {
    switch origins {
    case .any: !allowsCredentials
    case .exactly(let allowed): allowed.contains(origin)
    }
  }

  private func originFields(_ origin: String?) -> HTTPFields {
    switch origins {
    case .any:
      return origin == nil || allowsCredentials ? [:] : ["Access-Control-Allow-Origin": "*"]
    case .exactly:
      // The answer differs by origin, also when there is none, so caches must know in every case.
      var fields: HTTPFields = ["Vary": "Origin"]
      guard let origin, allows(origin) else { return fields }
      fields.append("Access-Control-Allow-Origin", origin)
      if allowsCredentials { fields.append("Access-Control-Allow-Credentials", "true") }
      return fields
    }
  }
}
