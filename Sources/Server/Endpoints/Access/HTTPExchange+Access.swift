internal import MartletHTTP
internal import MartletPrimitives
package import MartletWeb

extension HTTPExchange {
  /// What this request says about who asks: a Bearer token, `?token=`, or, from an allowed origin, the cookie.
  package func accessRequest(_ action: AccessAction, on resource: String, transport: String) -> AccessRequest {
    let query = request.target.query
    return AccessRequest(
      action, on: resource, transport: transport, remote: remote, token: bearerToken ?? query.first("token") ?? cookieToken,
      key: query.first("key"), userAgent: request.fields.first("User-Agent"))
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
