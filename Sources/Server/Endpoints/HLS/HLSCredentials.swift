internal import MartletHTTP
internal import MartletWeb

/// What a request proves its permission with, so far as answers depend on it.
internal struct HLSCredentials {
  /// The parts of the query that go into a playlist's URIs, as they came: `token=…&key=…`.
  internal let query: String
  /// The answer is for this client alone.
  internal let areUsed: Bool

  internal init(_ exchange: HTTPExchange) {
    let request = exchange.request
    let parts = (request.target.rawQuery ?? "").split(separator: "&").filter { $0.hasPrefix("token=") || $0.hasPrefix("key=") }
    query = parts.joined(separator: "&")
    areUsed = !parts.isEmpty || request.fields.contains("Authorization") || request.fields.contains("Cookie")
  }
}
