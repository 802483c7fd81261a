/// Whose pages may open a WebSocket (RFC 6455 §10.2). Browsers send `Origin` with every handshake and ask nobody before, so
/// this check stands where CORS stands for other requests. Clients that are no browsers send none, and are let in.
package enum WebSocketOrigins: Equatable, Sendable {
  /// No check: for endpoints that give away nothing and are given nothing on the word of a cookie.
  case any
  /// Pages of this very server, and those that the policy allows.
  case cors(CORSPolicy)
  /// Pages of this very server, and those of the origins listed, as `https://example.org`.
  case exactly(Set<String>)

  internal func allows(_ request: HTTPRequest, isSecure: Bool) -> Bool {
    let origins = request.fields.all("Origin")
    guard let origin = origins.first else { return true }
    guard origins.count == 1 else { return false }
    if Self.isOwn(origin, request, isSecure: isSecure) { return true }
    return switch self {
    case .any: true
    case .cors(let policy): policy.allows(origin)
    case .exactly(let allowed): allowed.contains(origin.lowercased())
    }
  }

  private static func isOwn(_ origin: String, _ request: HTTPRequest, isSecure: Bool) -> Bool {
    let scheme = isSecure ? "https" : "http"
    guard let page = URLReference(origin), let authority = request.authority, let here = URLReference("\(scheme)://\(authority)") else {
      return false
    }
    return page.scheme == scheme && page.host == here.host && page.effectivePort == here.effectivePort
  }
}
