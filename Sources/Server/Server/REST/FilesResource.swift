internal import MartletEndpoints
internal import MartletHTTP
internal import MartletIO
internal import MartletPrimitives
internal import MartletWeb

/// `/api/v1/files`: what clients uploaded.
internal enum FilesResource {
  private static let file = APISchema.object([
    .always("name", .string, "Below /files/"), .always("size", .integer, "Bytes"), .always("modified", .string, "RFC 3339"),
  ])

  private static let upload = APISchema.object([
    .always("name", .string, "Below /files/"), .always("received", .integer, "Bytes that have arrived"),
    .sometimes("length", .integer, "Bytes that it will have, once known"), .always("user", .string, "Whose it is; empty when nobody said"),
    .always("expires", .string, "RFC 3339: it is dropped when nothing comes until then"),
  ])

  /// Of one answer.
  private static let listed = 1000

  static let routes = [
    APIRoute(
      .get, "/api/v1/files", "Files by name, and unfinished uploads. Query: prefix, after (a name), limit",
      response: .object([
        .always("files", .array(file), "At most limit (\(listed)); more come after the last name"),
        .always("uploads", .array(upload), "Not complete yet"), .always("bytes", .integer, "In use, of files.quota"),
      ])
    ) { endpoint, exchange, _ in list(endpoint, exchange) },
    APIRoute(.delete, "/api/v1/files/{name...}", "Removes a file, and an unfinished upload of its name", status: .noContent, response: nil)
    {
      endpoint, exchange, parameters in remove(endpoint, exchange, parameters["name"])
    },
  ]

  private static func list(_ endpoint: RESTEndpoint, _ exchange: HTTPExchange) {
    guard let store = endpoint.shared.files else { return refuse(exchange) }
    let query = exchange.request.target.query
    let limit = query.first("limit").flatMap { Int($0) }.map { min(max(1, $0), listed) } ?? listed
    let (prefix, after) = (query.first("prefix") ?? "", query.first("after") ?? "")
    endpoint.context.service(FilesEndpoint.self).onDisk {
      (store.list(prefix: prefix, after: after, limit: limit), store.listUploads(limit: listed))
    } then: { files, uploads in
      exchange.respond(
        .ok,
        json: [
          "files": .array(
            files.map { ["name": .string($0.name), "size": .int(Int64($0.size)), "modified": .string($0.modified.iso8601)] }),
          "uploads": .array(uploads.map(json)), "bytes": .int(Int64(store.counters.used)),
        ])
    }
  }

  private static func json(_ upload: UploadStatus) -> JSON {
    var object = JSON.Object()
    object["name"] = .string(upload.name.text)
    object["received"] = .int(Int64(upload.ranges.count))
    if let length = upload.length { object["length"] = .int(Int64(length)) }
    object["user"] = .string(upload.user)
    object["expires"] = .string(upload.expires.iso8601)
    return .object(object)
  }

  private static func remove(_ endpoint: RESTEndpoint, _ exchange: HTTPExchange, _ text: String) {
    guard let store = endpoint.shared.files else { return refuse(exchange) }
    guard let name = try? FileName(text, depth: 64) else { return exchange.refuse(.notFound, "no file has this name") }
    endpoint.context.service(FilesEndpoint.self).onDisk { () -> Result<Bool, HTTPError> in
      do throws(HTTPError) { return .success(try store.remove(name)) } catch { return .failure(error) }
    } then: { result in
      switch result {
      case .failure(let error): exchange.refuse(error.status, error.reason)
      case .success(false): exchange.refuse(.notFound, "there is no file \(name)")
      case .success(true):
        endpoint.context.log(.info, "files", "\(name) was removed by an administrator")
        exchange.respond(.noContent)
      }
    }
  }

  private static func refuse(_ exchange: HTTPExchange) {
    exchange.refuse(.notFound, "no files are kept here (files.path, files.enabled)")
  }
}
