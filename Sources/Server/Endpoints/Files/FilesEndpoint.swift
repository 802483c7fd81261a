internal import MartletHTTP
package import MartletIO
package import MartletMessages
internal import MartletPrimitives
package import MartletWeb

/// `/files/NAME`: uploads, whole or in parts, and downloads; `POST /files` where the server chooses the name. Tus clients find
/// their protocol at the same addresses (`FilesEndpoint+Tus`).
///
/// One on each worker; the store behind it is shared, so the parts of one upload may come to any worker.
package final class FilesEndpoint {
  /// Somebody whose permission may end.
  internal struct Permit {
    var user = ""
    var expires: WallTime?
    var tokenID: String?
  }

  private struct Session {
    let permit: Permit
    let end: (_ reason: String) -> Void
  }

  package let store: FileStore?
  internal let context: LoopContext
  internal let progress: FileProgress
  private let access: any AccessControl
  private var jobs: [Int: (any Sendable) -> Void] = [:]
  private var sessions: [Int: Session] = [:]
  private var count = 0

  /// - Parameter store: `nil` where no files are kept.
  package init(_ store: FileStore?, hub: MessageHub, access: any AccessControl, in context: LoopContext) {
    self.store = store
    self.access = access
    self.context = context
    progress = FileProgress(hub, in: context)
    if store != nil, context.loop.index == 0 { expireLater() }
  }

  package func add(to router: Router) {
    for method in [HTTPMethod.put, .post] {
      router.on(method, "/files/{name...}") { [unowned self] exchange, parameters in
        if takeTus(exchange, parameters["name"]) { return }
        named(exchange, parameters["name"]) { self.upload(exchange, $0, $1) }
      }
    }
    router.on(.patch, "/files/{name...}") { [unowned self] exchange, parameters in
      if takeTus(exchange, parameters["name"]) { return }
      exchange.refuse(.badRequest, "PATCH is for tus clients, which send Tus-Resumable; others PUT with Content-Range: bytes 0-99/200")
    }
    router.on(.get, "/files/{name...}") { [unowned self] exchange, parameters in
      if takeTus(exchange, parameters["name"]) { return }
      named(exchange, parameters["name"]) { self.download(exchange, $0, $1) }
    }
    router.on(.delete, "/files/{name...}") { [unowned self] exchange, parameters in
      if takeTus(exchange, parameters["name"]) { return }
      named(exchange, parameters["name"]) { self.delete(exchange, $0, $1) }
    }
    router.on(.post, "/files") { [unowned self] exchange, _ in if !takeTus(exchange, nil) { collection(exchange) } }
    router.on(.options, "/files") { [unowned self] exchange, _ in describeTus(exchange) }
    router.on(.options, "/files/{name...}") { [unowned self] exchange, _ in describeTus(exchange) }
  }

  internal func withStore(_ exchange: HTTPExchange, then: (FileStore) -> Void) {
    guard let store else { return exchange.refuse(.notFound, "no files are kept here (files.path, files.enabled)") }
    then(store)
  }

  internal func named(_ exchange: HTTPExchange, _ text: String, then: (FileStore, FileName) -> Void) {
    withStore(exchange) { store in
      let name: FileName
      do throws(ParseError) { name = try FileName(text, depth: store.configuration.depth) } catch {
        return exchange.refuse(.badRequest, "\(error)")
      }
      then(store, name)
    }
  }

  // MARK: Permissions

  internal func admit(_ exchange: HTTPExchange, _ action: AccessAction, _ name: FileName, then: @escaping (Permit) -> Void) {
    ask(exchange, action, name) { permit, question, reason, isFinal in
      if let permit { then(permit) } else { exchange.deny(question, reason, isFinal: isFinal) }
    }
  }

  internal func ask(
    _ exchange: HTTPExchange, _ action: AccessAction, _ name: FileName,
    then: @escaping (Permit?, AccessRequest, _ reason: String, _ isFinal: Bool) -> Void
  ) {
    let question = exchange.accessRequest(action, on: name.text, transport: "http")
    access.decide(question) { [weak self] decision in
      guard let self, !exchange.isFinished else { return }
      switch decision {
      case .denied(let reason, let isFinal):
        self.context.log(
          .info, "files", "\(action.rawValue) of \(name) refused: \(reason)", ["peer": "\(exchange.remote)"])
        then(nil, question, reason, isFinal)
      case .allowed(_, .some(let expires), _) where expires <= self.context.wallTime:
        then(nil, question, "the permission has expired", false)
      case .allowed(let user, let expires, let tokenID):
        then(Permit(user: user ?? "", expires: expires, tokenID: tokenID), question, "", false)
      }
    }
  }

  /// What goes on ends with the permission it lives by.
  /// - Returns: to be called when it is over.
  internal func keep(_ permit: Permit, end: @escaping (_ reason: String) -> Void) -> () -> Void {
    count += 1
    let id = count
    sessions[id] = Session(permit: permit, end: end)
    var timer: SlabID?
    if let expires = permit.expires {
      let left = TimeSpan.milliseconds(Int(clamping: expires.milliseconds - context.wallTime.milliseconds))
      timer = context.schedule(after: left) { [weak self] in
        self?.sessions.removeValue(forKey: id)?.end("the permission has expired")
      }
    }
    return { [weak self] in
      self?.sessions[id] = nil
      if let timer { self?.context.cancel(timer) }
    }
  }

  /// Ends the uploads and downloads of those that `isMeant`.
  /// - Returns: how many.
  package func kick(where isMeant: (_ user: String, _ tokenID: String?) -> Bool) -> Int {
    let meant = sessions.filter { isMeant($0.value.permit.user, $0.value.permit.tokenID) }
    for id in meant.keys { sessions[id] = nil }
    for session in meant.values { session.end("the permission was withdrawn") }
    return meant.count
  }

  // MARK: The disk

  /// Does `work` on one of the store's threads, and calls `then` on this loop. Each request has at most one under way; when
  /// the threads have too much to do it waits.
  package func onDisk<R: Sendable>(_ work: @escaping @Sendable () -> R, then: @escaping (R) -> Void) {
    count += 1
    let id = count
    jobs[id] = { result in if let result = result as? R { then(result) } }
    submit(id, work)
  }

  private func submit<R: Sendable>(_ id: Int, _ work: @escaping @Sendable () -> R) {
    let loop = context.loop
    let isAccepted = store?.pool.submit {
      let result = work()
      loop.post { $0.service(FilesEndpoint.self).finish(id, result) }
    }
    if isAccepted == true { return }
    context.schedule(after: .milliseconds(20)) { [weak self] in self?.submit(id, work) }
  }

  private func finish(_ id: Int, _ result: any Sendable) { jobs.removeValue(forKey: id)?(result) }

  private func expireLater() {
    guard let store else { return }
    let interval = min(max(TimeSpan(nanoseconds: store.configuration.expire.nanoseconds / 4), .milliseconds(250)), .seconds(60))
    context.schedule(after: interval) { [weak self] in
      self?.onDisk {
        store.expire()
      } then: { dropped in
        for status in dropped { self?.progress.failed(status.name, "it rested too long (files.expire)") }
        self?.expireLater()
      }
    }
  }

  // MARK: Uploads

  private func upload(_ exchange: HTTPExchange, _ store: FileStore, _ name: FileName) {
    var terms: UploadTerms
    var part: ByteRange.Content?
    do throws(HTTPError) {
      terms = try UploadTerms(exchange.request)
      part = try Self.part(of: exchange.request)
    } catch { return exchange.refuse(error.status, error.reason) }
    admit(exchange, .upload, name) { [self] permit in
      terms.user = permit.user
      // `bytes */0` is all of an empty file.
      if part == ByteRange.Content(range: nil, length: 0) { part = nil }
      if let part, part.range == nil { return report(exchange, store, name, part.length) }
      let (request, now, terms, part) = (exchange.request, context.wallTime, terms, part)
      onDisk { () -> Result<any UploadTarget, HTTPError> in
        do throws(HTTPError) {
          try Self.check(request, store.look(name).file, now)
          if let part, let range = part.range { return .success(try store.begin(name, part: range, of: part.length, terms)) }
          return .success(try store.begin(name, terms))
        } catch { return .failure(error) }
      } then: { [self] in
        start($0, exchange, permit) { self.answer(exchange, $0) }
      }
    }
  }

  internal func start(
    _ result: Result<any UploadTarget, HTTPError>, _ exchange: HTTPExchange, _ permit: Permit, answer: @escaping (UploadOutcome) -> Void
  ) {
    switch result {
    case .failure(let error): exchange.refuse(error.status, error.reason)
    case .success(let target):
      guard !exchange.isFinished else {
        return onDisk {
          target.abandon()
        } then: { _ in
        }
      }
      UploadRequest(exchange, target, self).begin(permit, answer: answer)
    }
  }

  private static func part(of request: HTTPRequest) throws(HTTPError) -> ByteRange.Content? {
    let values = request.fields.all("Content-Range")
    guard let value = values.first else { return nil }
    guard values.count == 1, let part = ByteRange.parseContentRange(value) else {
      throw HTTPError(
        .badRequest, "Content-Range is malformed; expected its unit, first and last byte and the whole length: bytes 0-1048575/5000000")
    }
    return part
  }

  /// `If-Match`, `If-None-Match` and `If-Unmodified-Since` guard against overwriting what somebody else put there.
  private static func check(_ request: HTTPRequest, _ file: ReadableFile?, _ now: WallTime) throws(HTTPError) {
    let representation = file.map { Representation(length: $0.size, etag: EntityTag($0.version), lastModified: $0.modified) }
    if case .preconditionFailed = request.evaluateConditions(on: representation, now: now) {
      throw HTTPError(.preconditionFailed, "the file is not what the request expects (If-Match, If-None-Match)")
    }
  }

  /// `bytes */N`: how much has arrived?
  private func report(_ exchange: HTTPExchange, _ store: FileStore, _ name: FileName, _ length: Int?) {
    onDisk {
      store.look(name)
    } then: { [self] found in
      if let upload = found.upload { return answer(exchange, .partial(upload)) }
      if let file = found.file, file.size == length {
        return answer(exchange, .complete(StoredFile(name: name, size: file.size, version: file.version, isNew: false)))
      }
      let nothing = UploadStatus(
        name: name, user: "", length: length, ranges: ByteRangeSet(), expires: WallTime(milliseconds: 0), metadata: "")
      exchange.respond(.accepted, FileFields.status(nothing))
    }
  }

  internal func answer(_ exchange: HTTPExchange, _ outcome: UploadOutcome) {
    switch outcome {
    case .partial(let status): exchange.respond(.accepted, FileFields.status(status))
    case .complete(let file):
      var fields = FileFields.complete(file)
      fields.append("Content-Type", "application/json")
      exchange.respond(file.isNew ? .created : .ok, fields, Slice(FileFields.json(file).serialized))
    }
  }

  // MARK: Downloads

  private func download(_ exchange: HTTPExchange, _ store: FileStore, _ name: FileName) {
    let isHead = exchange.request.method == .head
    let show = { [self] (permit: Permit) in
      onDisk {
        (store.look(name))
      } then: { [self] in
        send(exchange, name, $0, permit, isHead: isHead)
      }
    }
    ask(exchange, .download, name) { [self] permit, question, reason, isFinal in
      if let permit { return show(permit) }
      // Who uploads may ask how far it is.
      guard isHead else { return exchange.deny(question, reason, isFinal: isFinal) }
      admit(exchange, .upload, name, then: show)
    }
  }

  private func send(_ exchange: HTTPExchange, _ name: FileName, _ found: FileStore.Found, _ permit: Permit, isHead: Bool) {
    guard !exchange.isFinished else { return }
    guard let file = found.file else {
      guard let upload = found.upload else { return exchange.refuse(.notFound, "there is no file \(name)") }
      if isHead { return exchange.respond(.noContent, FileFields.status(upload)) }
      return exchange.refuse(.notFound, "\(name) is being uploaded: \(upload.ranges.count) bytes have arrived")
    }
    var extra = FileFields.protection(name)
    if isHead {
      let complete = StoredFile(name: name, size: file.size, version: file.version, isNew: false)
      extra.append(contentsOf: found.upload.map { FileFields.progress($0) } ?? FileFields.progress(complete))
    }
    let type = file.attribute(FileStore.typeAttribute) ?? MediaType.of(fileName: name.last)
    FileContent(file, contentType: type, caching: "private, no-cache", extra: extra).respond(exchange)
    guard !exchange.isFinished else { return }
    let over = keep(permit) { [weak exchange] _ in exchange?.abort() }
    exchange.onClose = { [inner = exchange.onClose] in
      inner?()
      over()
    }
  }

  private func delete(_ exchange: HTTPExchange, _ store: FileStore, _ name: FileName) {
    admit(exchange, .upload, name) { [self] _ in
      let (request, now) = (exchange.request, context.wallTime)
      onDisk { () -> Result<Bool, HTTPError> in
        do throws(HTTPError) {
          try Self.check(request, store.look(name).file, now)
          return .success(try store.remove(name))
        } catch { return .failure(error) }
      } then: { [self] result in
        switch result {
        case .failure(let error): exchange.refuse(error.status, error.reason)
        case .success(false): exchange.refuse(.notFound, "there is no file \(name)")
        case .success(true):
          progress.removed(name)
          exchange.respond(.noContent)
        }
      }
    }
  }
}
