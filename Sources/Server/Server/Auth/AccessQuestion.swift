package import MartletEndpoints
internal import MartletPrimitives

/// What the authorisation webhook is asked, and what its answers mean.
package enum AccessQuestion {
  package static func body(_ request: AccessRequest) -> [UInt8] {
    var object = JSON.Object()
    object["do"] = .string(request.action.rawValue)
    object["on"] = .string(request.resource)
    object["transport"] = .string(request.transport)
    object["address"] = .string("\(request.remote.ip)")
    object["port"] = .int(Int64(request.remote.port))
    if let token = request.token { object["token"] = .string(token) }
    if let key = request.key { object["key"] = .string(key) }
    if let agent = request.userAgent { object["user_agent"] = .string(agent) }
    return JSON.object(object).serialized
  }

  /// 2xx allows, with `user` (text) and `expires` (seconds since 1970) from a JSON answer if it has them; anything else
  /// refuses, with its `message`.
  package static func decision(_ outcome: WebhookOutcome) -> AccessDecision {
    switch outcome {
    case .failed: return .denied("the authorisation server did not answer (auth.webhook)", isFinal: true)
    case .answered(let status, let body):
      let json = try? JSON(parsing: body)
      guard (200..<300).contains(status) else {
        let reason = json?["message"]?.stringValue.map { String($0.prefix(200)) }
        return .denied(reason ?? "the authorisation server refused (auth.webhook)")
      }
      return .allowed(
        user: json?["user"]?.stringValue,
        expires: json?["expires"]?.doubleValue.map { WallTime(milliseconds: Int64(clamping: $0 * 1000)) })
    }
  }
}
