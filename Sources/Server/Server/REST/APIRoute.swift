package import MartletHTTP
package import MartletPrimitives
internal import MartletWeb

/// One operation of the REST API: where it is, what it takes and answers. The router and the OpenAPI document are both made
/// from the one table of these.
package struct APIRoute: Sendable {
  package let method: HTTPMethod
  /// As the router has it: `/api/v1/streams/{path...}`.
  package let pattern: String
  package let summary: String
  /// Of the request's content, if it has any.
  package let request: APISchema?
  package let status: HTTPStatus
  /// `nil` for an answer without content.
  package let response: APISchema?
  /// Answered without a token.
  internal let isOpen: Bool
  internal let handle: @Sendable (RESTEndpoint, HTTPExchange, Router.Parameters) -> Void

  internal init(
    _ method: HTTPMethod, _ pattern: String, _ summary: String, request: APISchema? = nil, status: HTTPStatus = .ok, response: APISchema?,
    isOpen: Bool = false, handle: @escaping @Sendable (RESTEndpoint, HTTPExchange, Router.Parameters) -> Void
  ) {
    self.method = method
    self.pattern = pattern
    self.summary = summary
    self.request = request
    self.status = status
    self.response = response
    self.isOpen = isOpen
    self.handle = handle
  }

  /// As OpenAPI has it.
  package var path: String { pattern.split(separator: "...", omittingEmptySubsequences: false).joined() }

  internal var parameters: [String] {
    path.split(separator: "/").compactMap { $0.hasPrefix("{") ? String($0.dropFirst().dropLast()) : nil }
  }

  /// The operation in an OpenAPI document.
  internal var json: JSON {
    var responses = JSON.Object()
    var answer: JSON.Object = .init()
    answer["description"] = .string(summary)
    if let response { answer["content"] = ["application/json": ["schema": response.json]] }
    responses["\(status.code)"] = .object(answer)
    responses["default"] = [
      "description": "An error", "content": ["application/json": ["schema": ["$ref": "#/components/schemas/Error"]]],
    ]
    var operation = JSON.Object()
    operation["summary"] = .string(summary)
    if !parameters.isEmpty {
      operation["parameters"] = .array(
        parameters.map { ["name": .string($0), "in": "path", "required": true, "schema": ["type": "string"]] })
    }
    if let request { operation["requestBody"] = ["required": true, "content": ["application/json": ["schema": request.json]]] }
    operation["responses"] = .object(responses)
    if isOpen { operation["security"] = [] }
    return .object(operation)
  }
}

/// The document at `/api/openapi.json`.
package enum OpenAPIDocument {
  package static func json(_ routes: [APIRoute]) -> JSON {
    var paths = JSON.Object()
    for route in routes {
      var operations = paths[route.path]?.objectValue ?? JSON.Object()
      operations[route.method.rawValue.lowercased()] = route.json
      paths[route.path] = .object(operations)
    }
    let error = APISchema.object([
      .always(
        "error",
        .object([.always("status", .integer, "The HTTP status"), .always("message", .string, "What was wrong, for a person")]),
        "What was wrong")
    ])
    return [
      "openapi": "3.1.0",
      "info": [
        "title": "Martlet", "version": .string(MartletVersion.number), "license": ["name": "Apache-2.0", "identifier": "Apache-2.0"],
      ],
      "paths": .object(paths),
      "components": [
        "schemas": ["Error": error.json],
        "securitySchemes": ["token": ["type": "http", "scheme": "bearer", "bearerFormat": "JWT"]],
      ],
      "security": [["token": []]],
    ]
  }
}
