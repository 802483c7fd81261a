package import MartletHTTP
internal import MartletPrimitives

/// Finds a request's handler by method and path.
///
/// A pattern is a path whose segments are literal, `{name}` for one segment, or `{name...}` as the last one for all that
/// follow. Literal paths are found in one look-up; the others are tried in the order in which they were added.
package final class Router {
  package typealias Handler = (HTTPExchange, Parameters) -> Void

  /// The segments that stood where the pattern has names.
  package struct Parameters: Sendable {
    fileprivate var values: [String: String] = [:]
    package subscript(name: String) -> String { values[name] ?? "" }
  }

  private struct Route {
    let method: HTTPMethod
    let pattern: [Substring]
    let handler: Handler
  }

  private var literal: [String: [Route]] = [:]
  private var patterns: [Route] = []
  /// Streams: paths that only their form and the hub can tell. Answers whether it took the request.
  private var fallbacks: [(HTTPExchange) -> Bool] = []

  package init() {}

  package func on(_ method: HTTPMethod, _ pattern: String, _ handler: @escaping Handler) {
    let route = Route(method: method, pattern: pattern.split(separator: "/"), handler: handler)
    if pattern.contains("{") { patterns.append(route) } else { literal[pattern, default: []].append(route) }
  }

  package func fallback(_ handler: @escaping (HTTPExchange) -> Bool) { fallbacks.append(handler) }

  internal func route(_ exchange: HTTPExchange) {
    let request = exchange.request
    let path = request.target.path
    var allowed: [String] = []
    for route in literal[path] ?? [] {
      if accepts(route, request.method) { return route.handler(exchange, Parameters()) }
      allowed.append(route.method.rawValue)
    }
    for route in patterns {
      guard let parameters = match(route.pattern, request.target.segments) else { continue }
      if accepts(route, request.method) { return route.handler(exchange, parameters) }
      allowed.append(route.method.rawValue)
    }
    if !allowed.isEmpty {
      if allowed.contains("GET") { allowed.append("HEAD") }
      exchange.responseFields.append("Allow", allowed.joined(separator: ", "))
      if request.method == .options { return exchange.respond(.noContent) }
      return exchange.refuse(.methodNotAllowed, "\(request.method) is not possible here; \(allowed.joined(separator: ", ")) are")
    }
    for fallback in fallbacks where fallback(exchange) { return }
    exchange.refuse(.notFound, "there is nothing at \(path)")
  }

  private func accepts(_ route: Route, _ method: HTTPMethod) -> Bool {
    route.method == method || route.method == .get && method == .head
  }

  private func match(_ pattern: [Substring], _ segments: [String]) -> Parameters? {
    var parameters = Parameters()
    for (index, part) in pattern.enumerated() {
      if part.hasPrefix("{"), part.hasSuffix("...}") {
        guard index < segments.count else { return nil }
        parameters.values[String(part.dropFirst().dropLast(4))] = segments[index...].joined(separator: "/")
        return parameters
      }
      guard index < segments.count else { return nil }
      if part.hasPrefix("{") {
        parameters.values[String(part.dropFirst().dropLast())] = segments[index]
      } else if part != segments[index] {
        return nil
      }
    }
    return pattern.count == segments.count ? parameters : nil
  }
}
