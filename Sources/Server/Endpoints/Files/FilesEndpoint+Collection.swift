internal import MartletHTTP
internal import MartletPrimitives
internal import MartletWeb

/// `POST /files`: the server chooses a name like the one given; a form may bring several files.
extension FilesEndpoint {
  internal func collection(_ exchange: HTTPExchange) {
    withStore(exchange) { store in
      do throws(HTTPError) {
        if let boundary = try MultipartReader.boundary(of: exchange.request.fields.first("Content-Type") ?? "") {
          _ = try UploadTerms(exchange.request)
          return FormUpload(exchange, store, self, boundary: boundary).begin()
        }
        guard !exchange.request.fields.contains("Content-Range") else {
          throw HTTPError(.badRequest, "parts need a name: PUT /files/NAME with Content-Range")
        }
        let terms = try UploadTerms(exchange.request)
        raw(exchange, store, Self.suggestion(exchange.request), terms)
      } catch { exchange.refuse(error.status, error.reason) }
    }
  }

  /// `Content-Disposition: attachment; filename=…` or `?name=…`.
  private static func suggestion(_ request: HTTPRequest) -> FileName {
    let disposition = request.fields.first("Content-Disposition").flatMap { ContentDisposition(parsing: $0) }
    return FileName.safe(disposition?.fileName ?? request.target.query.first("name"))
  }

  private func raw(_ exchange: HTTPExchange, _ store: FileStore, _ suggestion: FileName, _ terms: UploadTerms) {
    admit(exchange, .upload, suggestion) { [self] permit in
      var terms = terms
      terms.user = permit.user
      let final = terms
      onDisk { () -> Result<any UploadTarget, HTTPError> in
        do throws(HTTPError) { return .success(try store.begin(like: suggestion, final)) } catch { return .failure(error) }
      } then: { [self] in
        start($0, exchange, permit) { self.answer(exchange, $0) }
      }
    }
  }
}
