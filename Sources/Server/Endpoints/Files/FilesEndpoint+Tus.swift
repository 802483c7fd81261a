internal import MartletHTTP
internal import MartletIO
internal import MartletPrimitives
internal import MartletWeb

/// tus 1.0 (https://tus.io/protocols/resumable-upload) on the same uploads: core, creation, creation-with-upload,
/// creation-defer-length, expiration, checksum, termination. Concatenation is left out: parts in any order do that here.
extension FilesEndpoint {
  private static let version = "1.0.0"
  private static let extensions = "creation,creation-with-upload,creation-defer-length,expiration,checksum,termination"
  private static let content = "application/offset+octet-stream"

  /// What is spoken here.
  internal func describeTus(_ exchange: HTTPExchange) {
    withStore(exchange) { store in
      exchange.respond(
        .noContent,
        [
          "Tus-Resumable": Self.version, "Tus-Version": Self.version, "Tus-Extension": Self.extensions,
          "Tus-Max-Size": "\(store.configuration.maximumBytes)",
          "Tus-Checksum-Algorithm": DigestField.tusAlgorithms.map(\.name).joined(separator: ","),
          "Allow": "GET, HEAD, PUT, POST, PATCH, DELETE, OPTIONS",
        ])
    }
  }

  /// Handles the request when it is a tus client's.
  internal func takeTus(_ exchange: HTTPExchange, _ name: String?) -> Bool {
    guard let version = exchange.request.fields.first("Tus-Resumable") else { return false }
    exchange.responseFields.append("Tus-Resumable", Self.version)
    guard version == Self.version else {
      exchange.responseFields.append("Tus-Version", Self.version)
      exchange.refuse(.preconditionFailed, "this is tus \(Self.version)")
      return true
    }
    var method = exchange.request.method
    // For clients behind what knows GET and POST only.
    if method == .post, let other = exchange.request.fields.first("X-HTTP-Method-Override") { method = HTTPMethod(other.uppercased()) }
    switch (method, name) {
    case (.post, nil): withStore(exchange) { create(exchange, $0) }
    case (.head, let name?): named(exchange, name) { self.head(exchange, $0, $1) }
    case (.patch, let name?): named(exchange, name) { self.patch(exchange, $0, $1) }
    case (.delete, let name?): named(exchange, name) { self.terminate(exchange, $0, $1) }
    case (.get, _): return false
    default: exchange.refuse(.methodNotAllowed, "tus has POST /files, and HEAD, PATCH and DELETE of an upload")
    }
    return true
  }

  private static func number(_ name: String, _ request: HTTPRequest) throws(HTTPError) -> Int? {
    guard let text = request.fields.first(name) else { return nil }
    guard (1...18).contains(text.utf8.count), text.utf8.allSatisfy({ (48...57).contains($0) }), let value = Int(text) else {
      throw HTTPError(.badRequest, "\(name) is a number of bytes")
    }
    return value
  }

  private static func terms(_ request: HTTPRequest) throws(HTTPError) -> UploadTerms {
    var terms = UploadTerms()
    terms.contentLength = request.fields.first("Content-Length").flatMap { Int($0) }
    if let checksum = request.fields.first("Upload-Checksum") { terms.contentDigest = try DigestField.parse(tus: checksum) }
    return terms
  }

  // MARK: Creation

  private func create(_ exchange: HTTPExchange, _ store: FileStore) {
    let request = exchange.request
    let length: Int?
    let metadata: [String: String]
    var terms: UploadTerms
    do throws(HTTPError) {
      length = try Self.number("Upload-Length", request)
      metadata = try TusMetadata.parse(request.fields.first("Upload-Metadata") ?? "")
      terms = try Self.terms(request)
      guard length != nil || request.fields.first("Upload-Defer-Length") == "1" else {
        throw HTTPError(.badRequest, "a tus upload begins with Upload-Length, or Upload-Defer-Length: 1")
      }
    } catch { return exchange.refuse(error.status, error.reason) }
    let suggestion = FileName.safe(metadata["filename"] ?? metadata["name"])
    let hasContent = request.fields.first("Content-Type").map { MediaTypeName.essence(of: $0) } == Self.content
    admit(exchange, .upload, suggestion) { [self] permit in
      terms.user = permit.user
      terms.contentType = UploadTerms.contentType(metadata["filetype"] ?? metadata["type"])
      let (text, final) = (request.fields.first("Upload-Metadata") ?? "", terms)
      onDisk { () -> Result<UploadStatus, HTTPError> in
        do throws(HTTPError) { return .success(try store.create(like: suggestion, length: length, metadata: text, final)) } catch {
          return .failure(error)
        }
      } then: { [self] result in
        switch result {
        case .failure(let error): exchange.refuse(error.status, error.reason)
        case .success(let status):
          guard !exchange.isFinished else { return }
          exchange.responseFields.append("Location", FileFields.location(status.name))
          // An empty file has arrived already.
          if hasContent || length == 0 {
            append(exchange, store, status.name, at: 0, declaring: nil, final, permit, status: .created)
          } else {
            exchange.respond(.created, Self.fields(status))
          }
        }
      }
    }
  }

  private static func fields(_ status: UploadStatus) -> HTTPFields {
    ["Upload-Offset": "\(status.offset)", "Upload-Expires": HTTPDate.format(status.expires), "Cache-Control": "no-store"]
  }

  // MARK: Content

  private func patch(_ exchange: HTTPExchange, _ store: FileStore, _ name: FileName) {
    let request = exchange.request
    guard request.fields.first("Content-Type").map({ MediaTypeName.essence(of: $0) }) == Self.content else {
      return exchange.refuse(.unsupportedMediaType, "PATCH takes \(Self.content)")
    }
    let offset: Int
    let length: Int?
    var terms: UploadTerms
    do throws(HTTPError) {
      guard let place = try Self.number("Upload-Offset", request) else { throw HTTPError(.badRequest, "PATCH needs Upload-Offset") }
      offset = place
      length = try Self.number("Upload-Length", request)
      terms = try Self.terms(request)
    } catch { return exchange.refuse(error.status, error.reason) }
    admit(exchange, .upload, name) { [self] permit in
      terms.user = permit.user
      append(exchange, store, name, at: offset, declaring: length, terms, permit, status: .noContent)
    }
  }

  private func append(
    _ exchange: HTTPExchange, _ store: FileStore, _ name: FileName, at offset: Int, declaring length: Int?, _ terms: UploadTerms,
    _ permit: Permit, status: HTTPStatus
  ) {
    onDisk { () -> Result<any UploadTarget, HTTPError> in
      do throws(HTTPError) { return .success(try store.append(name, at: offset, declaring: length, terms)) } catch {
        return .failure(error)
      }
    } then: { [self] in
      start($0, exchange, permit) { outcome in
        switch outcome {
        case .partial(let upload): exchange.respond(status, Self.fields(upload))
        case .complete(let file):
          exchange.respond(status, ["Upload-Offset": "\(file.size)", "ETag": "\(EntityTag(file.version))", "Cache-Control": "no-store"])
        }
      }
    }
  }

  // MARK: Asking and ending

  private func head(_ exchange: HTTPExchange, _ store: FileStore, _ name: FileName) {
    admit(exchange, .upload, name) { [self] _ in
      onDisk {
        store.look(name)
      } then: { found in
        var fields: HTTPFields = ["Cache-Control": "no-store"]
        if let upload = found.upload {
          fields.append("Upload-Offset", "\(upload.offset)")
          if let length = upload.length { fields.append("Upload-Length", "\(length)") } else { fields.append("Upload-Defer-Length", "1") }
          fields.append("Upload-Expires", HTTPDate.format(upload.expires))
          if !upload.metadata.isEmpty { fields.append("Upload-Metadata", upload.metadata) }
        } else if let file = found.file {
          fields.append("Upload-Offset", "\(file.size)")
          fields.append("Upload-Length", "\(file.size)")
        } else {
          return exchange.respond(.notFound, fields)
        }
        exchange.respond(.ok, fields)
      }
    }
  }

  private func terminate(_ exchange: HTTPExchange, _ store: FileStore, _ name: FileName) {
    admit(exchange, .upload, name) { [self] _ in
      onDisk { () -> Result<Bool, HTTPError> in
        do throws(HTTPError) { return .success(try store.remove(name)) } catch { return .failure(error) }
      } then: { [self] result in
        switch result {
        case .failure(let error): exchange.refuse(error.status, error.reason)
        case .success(false): exchange.refuse(.notFound, "there is no upload \(name)")
        case .success(true):
          progress.removed(name)
          exchange.respond(.noContent)
        }
      }
    }
  }
}
