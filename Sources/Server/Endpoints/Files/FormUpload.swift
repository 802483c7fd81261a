internal import MartletHTTP
internal import MartletPrimitives
internal import MartletWeb

/// The files of a `multipart/form-data` request, one after the other as they come. All of them are kept, or none.
internal final class FormUpload {
  private let exchange: HTTPExchange
  private let store: FileStore
  private let endpoint: FilesEndpoint
  private var reader: MultipartReader
  private var steps = Deque<MultipartReader.Event>()
  private var waitingBytes = 0
  private var target: (any UploadTarget)?
  private var stored: [StoredFile] = []
  private var files = 0
  /// Bytes of fields that are no files; they are read and dropped.
  private var dropped = 0
  private var isBusy = false
  /// Busy with a question whose answer does not come to a request that is over.
  private var isAsking = false
  private var isEnded = false
  private var isOver = false
  private var release: (() -> Void)?

  private static let bufferLimit = 512 << 10
  private static let droppedLimit = 1 << 20

  internal init(_ exchange: HTTPExchange, _ store: FileStore, _ endpoint: FilesEndpoint, boundary: [UInt8]) {
    self.exchange = exchange
    self.store = store
    self.endpoint = endpoint
    var limits = MultipartReader.Limits()
    limits.parts = store.configuration.formFiles + 100
    reader = MultipartReader(boundary: boundary, limits: limits)
  }

  internal func begin() {
    exchange.onClose = { self.clientLeft() }
    exchange.onBody { [weak self] in
      self?.receive($0)
    } end: { [weak self] in
      self?.didEnd()
    }
  }

  private func receive(_ bytes: Slice) {
    guard !isOver else { return }
    do throws(HTTPError) { try reader.receive(bytes) } catch { return fail(error) }
    while let event = reader.pollEvent() {
      if case .data(let data) = event { waitingBytes += data.count }
      steps.append(event)
    }
    if waitingBytes > Self.bufferLimit { exchange.pauseBody(true) }
    pump()
  }

  private func didEnd() {
    guard !isOver else { return }
    do throws(HTTPError) { try reader.finish() } catch { return fail(error) }
    isEnded = true
    pump()
  }

  private func pump() {
    while !isBusy, !isOver {
      guard let step = steps.popFirst() else {
        if isEnded { answer() }
        return
      }
      switch step {
      case .part(let fields): beginPart(fields)
      case .data(let bytes): write(bytes)
      case .partEnd: endPart()
      case .end: break
      }
    }
  }

  // MARK: Steps

  private func beginPart(_ fields: HTTPFields) {
    guard let disposition = fields.first("Content-Disposition").flatMap({ ContentDisposition(parsing: $0) }) else {
      return fail(HTTPError(.badRequest, "a part of the form has no valid Content-Disposition"))
    }
    // A browser sends a file field that was left empty with an empty name.
    guard let given = disposition.fileName, !given.isEmpty else { return }
    files += 1
    guard files <= store.configuration.formFiles else {
      return fail(HTTPError(.contentTooLarge, "the form has more than \(store.configuration.formFiles) files (files.form_files)"))
    }
    var terms = UploadTerms()
    terms.contentType = UploadTerms.contentType(fields.first("Content-Type"))
    do throws(HTTPError) { terms.contentDigest = try DigestField.parse("Content-Digest", in: fields) } catch { return fail(error) }
    let suggestion = FileName.safe(given)
    (isBusy, isAsking) = (true, true)
    endpoint.ask(exchange, .upload, suggestion) { [self] permit, question, reason, isFinal in
      isAsking = false
      guard !isOver else { return }
      guard let permit else {
        close()
        exchange.deny(question, reason, isFinal: isFinal)
        return undo()
      }
      if release == nil { release = endpoint.keep(permit) { [weak self] reason in self?.fail(HTTPError(.forbidden, reason)) } }
      terms.user = permit.user
      open(suggestion, terms)
    }
  }

  private func open(_ suggestion: FileName, _ terms: UploadTerms) {
    let store = store
    endpoint.onDisk { () -> Result<any UploadTarget, HTTPError> in
      do throws(HTTPError) { return .success(try store.begin(like: suggestion, terms)) } catch { return .failure(error) }
    } then: { [self] result in
      isBusy = false
      switch result {
      case .failure(let error): fail(error)
      case .success(let target):
        self.target = target
        if isOver { return undo() }
        endpoint.progress.started(target.name, length: nil)
        pump()
      }
    }
  }

  private func write(_ bytes: Slice) {
    waitingBytes -= bytes.count
    guard let target else {
      dropped += bytes.count
      if dropped > Self.droppedLimit { fail(HTTPError(.contentTooLarge, "the fields of the form that are no files are too long")) }
      return
    }
    // Small pieces leave together.
    var pieces = [bytes]
    while case .data(let more)? = steps.first {
      waitingBytes -= more.count
      pieces.append(more)
      _ = steps.popFirst()
    }
    if waitingBytes <= Self.bufferLimit { exchange.pauseBody(false) }
    isBusy = true
    endpoint.onDisk { [pieces] () -> HTTPError? in
      do throws(HTTPError) { try target.write(pieces) } catch { return error }
      return nil
    } then: { [self] error in
      isBusy = false
      if isOver { return undo() }
      if let error { return fail(error) }
      endpoint.progress.moved(target.name, target.progress)
      pump()
    }
  }

  private func endPart() {
    guard let target = Swift.exchange(&target, with: nil) else { return }
    isBusy = true
    endpoint.onDisk { () -> Result<UploadOutcome, HTTPError> in
      do throws(HTTPError) { return .success(try target.finish()) } catch { return .failure(error) }
    } then: { [self] result in
      isBusy = false
      if case .success(.complete(let file)) = result { stored.append(file) }
      if isOver { return undo() }
      if case .failure(let error) = result { return fail(error) }
      pump()
    }
  }

  // MARK: The end

  private func answer() {
    guard !stored.isEmpty else { return fail(HTTPError(.badRequest, "the form has no file: a part with a filename")) }
    close()
    for file in stored { endpoint.progress.complete(file) }
    var fields: HTTPFields = ["Content-Type": "application/json", "Cache-Control": "no-store"]
    if stored.count == 1 {
      fields.append("Location", FileFields.location(stored[0].name))
      fields.append("ETag", "\(EntityTag(stored[0].version))")
    }
    exchange.respond(.created, fields, Slice(JSON.object(json).serialized))
  }

  private var json: JSON.Object {
    var object = JSON.Object()
    object["files"] = .array(stored.map { FileFields.json($0) })
    return object
  }

  private func clientLeft() {
    guard !isOver else { return }
    close()
    if !isBusy || isAsking { undo() }
  }

  private func fail(_ error: HTTPError) {
    guard !isOver else { return }
    close()
    if !isBusy || isAsking { undo() }
    exchange.refuse(error.status, error.reason)
  }

  private func close() {
    isOver = true
    steps = Deque()
    exchange.onClose = nil
    Swift.exchange(&release, with: nil)?()
  }

  /// Nothing of a form that failed is kept; its names were its own.
  private func undo() {
    let (store, target, files) = (store, Swift.exchange(&target, with: nil), Swift.exchange(&stored, with: []))
    if let target { endpoint.progress.failed(target.name, "the form was not complete") }
    endpoint.onDisk {
      target?.abandon()
      for file in files { _ = try? store.remove(file.name) }
    } then: { _ in
    }
  }
}
