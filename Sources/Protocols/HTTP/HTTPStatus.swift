/// A status code with its reason phrase (RFC 9110 §15).
package struct HTTPStatus: Hashable, Sendable {
  /// 100 to 999.
  package let code: Int

  /// Clamps to the three digits that a status line can hold.
  package init(_ code: Int) { self.code = min(max(code, 100), 999) }

  package var isInformational: Bool { code < 200 }
  package var isSuccess: Bool { (200..<300).contains(code) }
  package var isRedirect: Bool { [301, 302, 303, 307, 308].contains(code) }

  /// RFC 9110 §6.4.1: these never carry content, whatever their fields say.
  package var neverHasBody: Bool { isInformational || code == 204 || code == 304 }

  package var reason: String { Self.reasons[code] ?? "Unknown" }

  private static let reasons: [Int: String] = [
    100: "Continue", 101: "Switching Protocols", 103: "Early Hints",
    200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 205: "Reset Content", 206: "Partial Content",
    300: "Multiple Choices", 301: "Moved Permanently", 302: "Found", 303: "See Other", 304: "Not Modified",
    307: "Temporary Redirect", 308: "Permanent Redirect",
    400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    406: "Not Acceptable", 407: "Proxy Authentication Required", 408: "Request Timeout", 409: "Conflict", 410: "Gone",
    411: "Length Required", 412: "Precondition Failed", 413: "Content Too Large", 414: "URI Too Long",
    415: "Unsupported Media Type", 416: "Range Not Satisfiable", 417: "Expectation Failed", 421: "Misdirected Request",
    422: "Unprocessable Content", 425: "Too Early", 426: "Upgrade Required", 428: "Precondition Required",
    429: "Too Many Requests", 431: "Request Header Fields Too Large",
    500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable",
    460: "Checksum Mismatch", 504: "Gateway Timeout", 505: "HTTP Version Not Supported", 507: "Insufficient Storage",
  ]
}

extension HTTPStatus: ExpressibleByIntegerLiteral {
  package init(integerLiteral code: Int) { self.init(code) }
}

extension HTTPStatus: CustomStringConvertible {
  package var description: String { "\(code) \(reason)" }
}

extension HTTPStatus {
  package static let `continue`: HTTPStatus = 100
  package static let switchingProtocols: HTTPStatus = 101
  package static let ok: HTTPStatus = 200
  package static let created: HTTPStatus = 201
  package static let accepted: HTTPStatus = 202
  package static let noContent: HTTPStatus = 204
  package static let partialContent: HTTPStatus = 206
  package static let movedPermanently: HTTPStatus = 301
  package static let temporaryRedirect: HTTPStatus = 307
  package static let permanentRedirect: HTTPStatus = 308
  package static let notModified: HTTPStatus = 304
  package static let badRequest: HTTPStatus = 400
  package static let unauthorized: HTTPStatus = 401
  package static let forbidden: HTTPStatus = 403
  package static let notFound: HTTPStatus = 404
  package static let methodNotAllowed: HTTPStatus = 405
  package static let requestTimeout: HTTPStatus = 408
  package static let conflict: HTTPStatus = 409
  package static let gone: HTTPStatus = 410
  package static let preconditionFailed: HTTPStatus = 412
  package static let contentTooLarge: HTTPStatus = 413
  package static let uriTooLong: HTTPStatus = 414
  package static let unsupportedMediaType: HTTPStatus = 415
  package static let rangeNotSatisfiable: HTTPStatus = 416
  package static let upgradeRequired: HTTPStatus = 426
  package static let tooManyRequests: HTTPStatus = 429
  package static let headerFieldsTooLarge: HTTPStatus = 431
  package static let internalServerError: HTTPStatus = 500
  package static let badGateway: HTTPStatus = 502
  package static let serviceUnavailable: HTTPStatus = 503
  package static let gatewayTimeout: HTTPStatus = 504
  package static let versionNotSupported: HTTPStatus = 505
}
