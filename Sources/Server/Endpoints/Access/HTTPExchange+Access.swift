internal import MartletHTTP
internal import MartletPrimitives
package import MartletWeb

extension HTTPExchange {
  /// What this request says about who asks: a Bearer token, `?token=`, or, from an allowed origin, the cookie.
  package func accessRequest(_ action: AccessAction, on resource: String, transport: String) -> AccessRequest {
    let query = request.target.query
    var result = AccessRequest(
      action, on: resource, transport: transport, remote: remote, token: bearerToken ?? query.first("token") ?? cookieToken,
      key: query.first("key"), userAgent: request.fields.first("User-Agent"))
    result.isLocal = isLocal
    return result
  }

  /// Answers a refusal: 401 with the way to authenticate when no credentials came (RFC 9110 §11.6.1, RFC 6750 §3), 403 when
  /// those that came are not enough, or none would be.
  package func deny(_ question: AccessRequest, _ reason: String, isFinal: Bool) {
    deny(reason, needsCredentials: !isFinal && question.isAnonymous)
  }

  internal func deny(_ reason: String, needsCredentials: Bool) {
    if needsCredentials { responseFields.append("WWW-Authenticate", "Bearer realm=\"martlet\"") }
    refuse(needsCredentials ? .unauthorized : .forbidden, reason)
  }

  /// The peer is this machine, it named this machine (so that no other site's name leads here), no proxy passed the request
  /// on, and if a page sent it, that page came from here.
  private var isLocal: Bool {
    guard remote.ip.isLoopback, let authority = request.authority, Self.isLoopback(authority) else { return false }
    let isForwarded = request.fields.contains { field in
      let name = field.name.lowercased()
      return name == "forwarded" || name.hasPrefix("x-forwarded-") || name == "x-real-ip" || name == "via"
    }
    guard !isForwarded else { return false }
    let origins = request.fields.all("Origin")
    guard let origin = origins.first else {
      // A page of another site can make a browser send some requests without Origin, but never without this.
      return request.fields.first("Sec-Fetch-Site").map { ["same-origin", "none"].contains($0) } ?? true
    }
    return origins.count == 1 && origin.lowercased() == (isSecure ? "https://" : "http://") + authority.lowercased()
  }

  private static func isLoopback(_ authority: String) -> Bool {
    var host = Substring(authority)
    if let colon = host.lastIndex(of: ":"), !host[colon...].contains("]") { host = host[..<colon] }
    return host.lowercased() == "localhost" || IPAddress(String(host))?.isLoopback == true
  }

  private var bearerToken: String? {
    guard let value = request.fields.first("Authorization"), value.utf8.count > 7, value.prefix(7).lowercased() == "bearer " else {
      return nil
    }
    return String(value.dropFirst(7))
  }

  /// A cookie travels with requests that other sites make a browser send, so it counts only where the origin was checked.
  private var cookieToken: String? {
    guard !request.fields.contains("Origin") || responseFields.contains("Access-Control-Allow-Credentials") else { return nil }
    for part in request.fields.all("Cookie").flatMap({ $0.split(separator: ";") }) {
      let pair = part.drop { $0 == " " }
      if pair.hasPrefix("martlet_token=") { return String(pair.dropFirst(14)) }
    }
    return nil
  }
}
