internal import MartletCrypto
package import MartletHTTP
package import MartletIO
package import MartletPrimitives
internal import Glibc
internal import Synchronization

/// The files' folder, shared by all workers, so that parts of one upload may come to any of them. Everything but the counters
/// blocks, and runs on the store's own threads: a disk that is slow with uploads does not hold up what viewers wait for.
package final class FileStore: Sendable {
  private struct Registry {
    var uploads: [String: UnfinishedUpload] = [:]
    /// Names chosen for requests that are under way.
    var chosen: Set<String> = []
    /// The parts that completed files lately: who lost the answer sends them again.
    var completed: [String: CompletedPart] = [:]
    var order = Deque<String>()
    var parts = 0
  }

  internal struct CompletedPart: Sendable, Equatable {
    let range: Range<Int>
    let length: Int
    /// SHA-256 of its content.
    let fingerprint: [UInt8]
    let version: String
  }

  package let root: String
  package let configuration: FilesConfiguration
  internal let log: Log
  internal let accounts: FileAccounts
  /// For everything that blocks here.
  package let pool = ThreadPool(name: "martlet-files", threads: 4, limit: 1024)
  private let folder: OpenFolder
  private let registry = Mutex(Registry())
  /// Held while folders come and go.
  private let tree = Mutex(())
  private static let remembered = 1024

  // What the metrics tell.
  internal let received = Atomic<Int>(0)
  private let completedCount = Atomic<Int>(0)
  private let droppedCount = Atomic<Int>(0)

  /// Opens the folder, which is made when it is missing, and takes up what was unfinished.
  package init(_ root: String, _ configuration: FilesConfiguration, log: Log) throws(FileFailure) {
    var root = root
    while root.utf8.count > 1, root.hasSuffix("/") { root.removeLast() }
    self.root = root
    self.configuration = configuration
    self.log = log
    accounts = FileAccounts(quota: configuration.quota, userQuota: configuration.userQuota)
    FileTree.makeFolders(root, mode: 0o750)
    folder = try OpenFolder.open(root)
    scan("", 0)
  }

  package func close() {
    pool.close()
    // What has arrived is put on the disk with where it stands.
    for upload in allUploads where !upload.isOver { upload.save() }
    registry.withLock { $0.uploads = [:] }
  }

  package struct Counters: Sendable {
    package let bytesReceived: Int
    package let completed: Int
    package let dropped: Int
    package let unfinished: Int
    /// Bytes in use, of the quota.
    package let used: Int
  }

  package var counters: Counters {
    Counters(
      bytesReceived: received.load(ordering: .relaxed), completed: completedCount.load(ordering: .relaxed),
      dropped: droppedCount.load(ordering: .relaxed), unfinished: registry.withLock { $0.uploads.count }, used: accounts.total)
  }

  internal var now: WallTime {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return WallTime(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
  }

  internal var tooLarge: HTTPError {
    HTTPError(.contentTooLarge, "a file has at most \(configuration.maximumBytes) bytes here (files.maximum)")
  }

  /// A failure of the disk as the answer to a client.
  internal func refusal(_ failure: FileFailure, _ name: FileName) -> HTTPError {
    if failure.isFull { return HTTPError(507, "the disk is full") }
    if failure.isWrongKind {
      return HTTPError(.conflict, "\(name) cannot be a file: a folder, or a file in place of a folder, is in the way")
    }
    log(.error, "files", "\(name): \(failure)")
    return HTTPError(.internalServerError, "the disk failed: \(failure)")
  }

  // MARK: Beginning

  /// A file in one request.
  package func begin(_ name: FileName, _ terms: UploadTerms) throws(HTTPError) -> any UploadTarget {
    try mayBe(name)
    return try WholeUpload(name, terms, self, isChosen: false)
  }

  /// A file in one request whose name is the server's choice.
  package func begin(like suggestion: FileName, _ terms: UploadTerms) throws(HTTPError) -> any UploadTarget {
    let name = choose(suggestion)
    do throws(HTTPError) { return try WholeUpload(name, terms, self, isChosen: true) } catch {
      giveBack(name)
      throw error
    }
  }

  /// One part of a file.
  package func begin(_ name: FileName, part range: Range<Int>, of length: Int?, _ terms: UploadTerms) throws(HTTPError) -> any UploadTarget
  {
    try mayBe(name)
    if let count = terms.contentLength, count != range.count {
      throw HTTPError(.badRequest, "Content-Range is \(range.count) bytes long, Content-Length says \(count)")
    }
    guard max(range.upperBound, length ?? 0) <= configuration.maximumBytes else { throw tooLarge }
    let join = UnfinishedUpload.Join(
      range: range, length: length, user: terms.user, isChecked: terms.contentDigest != nil, fileDigest: terms.fileDigest)
    while true {
      let upload = try upload(name, terms, "")
      let id = nextPart()
      do throws(HTTPError) {
        guard try upload.join(id, join) else { continue }
      } catch {
        upload.dropIfEmpty()
        throw error
      }
      return PartUpload(id, upload, range, isOpenEnded: false, terms.contentDigest, mismatch: .badRequest)
    }
  }

  /// A tus upload begins without content.
  package func create(like suggestion: FileName, length: Int?, metadata: String, _ terms: UploadTerms) throws(HTTPError) -> UploadStatus {
    guard length ?? 0 <= configuration.maximumBytes else { throw tooLarge }
    let name = choose(suggestion)
    defer { giveBack(name) }
    let upload = try upload(name, terms, metadata)
    // Takes its place in the quota, and is written down.
    let id = nextPart()
    let join = UnfinishedUpload.Join(range: 0..<0, length: length, user: terms.user, isChecked: false, fileDigest: nil)
    do throws(HTTPError) { _ = try upload.join(id, join) } catch {
      _ = upload.drop()
      throw error
    }
    upload.leave(id)
    guard let status = upload.status else { throw HTTPError(.gone, "the upload was removed") }
    return status
  }

  /// A tus client's next bytes.
  package func append(
    _ name: FileName, at offset: Int, declaring length: Int?, _ terms: UploadTerms
  ) throws(HTTPError) -> any UploadTarget {
    guard let upload = find(name), let status = upload.status else { throw HTTPError(.notFound, "there is no upload \(name)") }
    guard status.offset == offset else {
      throw HTTPError(.conflict, "\(status.offset) bytes have arrived, the request begins at \(offset)")
    }
    let limit = status.length ?? length ?? configuration.maximumBytes
    let end = try end(from: offset, terms.contentLength, limit)
    let join = UnfinishedUpload.Join(
      range: offset..<end, length: length, user: terms.user, isChecked: terms.contentDigest != nil, fileDigest: nil)
    let id = nextPart()
    guard try upload.join(id, join) else { throw HTTPError(.notFound, "there is no upload \(name)") }
    return PartUpload(id, upload, offset..<end, isOpenEnded: true, terms.contentDigest, mismatch: 460)
  }

  private func end(from offset: Int, _ count: Int?, _ limit: Int) throws(HTTPError) -> Int {
    guard offset <= limit else { throw HTTPError(.badRequest, "the upload has \(limit) bytes") }
    guard let count else { return limit }
    guard count <= limit - offset else { throw HTTPError(.contentTooLarge, "\(offset) and \(count) bytes are more than \(limit)") }
    return offset + count
  }

  private func nextPart() -> Int {
    registry.withLock { registry in
      registry.parts += 1
      return registry.parts
    }
  }

  /// A folder has its place already.
  private func mayBe(_ name: FileName) throws(HTTPError) {
    let parent: OpenFolder
    do throws(FileFailure) { parent = try folder.folder(name.folder) } catch {
      if error.isMissing { return }
      throw refusal(error, name)
    }
    if parent.entry(name.last)?.isFolder == true { throw HTTPError(.conflict, "\(name) is a folder") }
  }

  private func upload(_ name: FileName, _ terms: UploadTerms, _ metadata: String) throws(HTTPError) -> UnfinishedUpload {
    try registry.withLock { registry throws(HTTPError) -> UnfinishedUpload in
      if let upload = registry.uploads[name.text] { return upload }
      guard registry.uploads.count < configuration.uploads else {
        throw HTTPError(.serviceUnavailable, "too many uploads are unfinished (files.uploads)")
      }
      guard registry.uploads.values.count(where: { $0.user == terms.user }) < configuration.userUploads else {
        throw HTTPError(.tooManyRequests, "too many of your uploads are unfinished (files.user_uploads)")
      }
      var state = UnfinishedUpload.State(active: now)
      (state.contentType, state.metadata) = (terms.contentType, metadata)
      do throws(FileFailure) {
        let (place, file) = try create(name.partName, for: name)
        let upload = UnfinishedUpload(name, user: terms.user, state, place, file, self)
        registry.uploads[name.text] = upload
        return upload
      } catch { throw refusal(error, name) }
    }
  }

  /// A new file beside the place of `name`.
  internal func create(_ entry: String, for name: FileName) throws(FileFailure) -> (OpenFolder, WritableFile) {
    try tree.withLock { _ throws(FileFailure) -> (OpenFolder, WritableFile) in
      let place = try folder.folder(name.folder, makes: true)
      return (place, try place.create(entry))
    }
  }

  // MARK: Names

  private func choose(_ suggestion: FileName) -> FileName {
    registry.withLock { registry in
      var name = suggestion
      while registry.chosen.contains(name.text) || registry.uploads[name.text] != nil || folder.entry(name.text) != nil {
        name = suggestion.variant(String(UInt32.random(in: 1 << 28...UInt32.max), radix: 36))
      }
      registry.chosen.insert(name.text)
      return name
    }
  }

  internal func giveBack(_ name: FileName) { registry.withLock { _ = $0.chosen.remove(name.text) } }

  // MARK: Ending

  /// Puts a complete file in its place, whole or not at all.
  internal func commit(
    _ file: WritableFile, _ temporary: String, in place: OpenFolder, as name: FileName, _ terms: UploadTerms, size: Int
  ) throws(HTTPError) -> StoredFile {
    do throws(FileFailure) {
      if file.size != size { try file.truncate(to: size) }
      if !terms.user.isEmpty { file.setAttribute(Self.userAttribute, terms.user) }
      if !terms.contentType.isEmpty { file.setAttribute(Self.typeAttribute, terms.contentType) }
      try file.sync()
    } catch { throw refusal(error, name) }
    // One at a time, so that what each replaces is counted once.
    return try tree.withLock { _ throws(HTTPError) -> StoredFile in
      let old = place.entry(name.last)
      if terms.mustBeNew, old != nil { throw HTTPError(.preconditionFailed, "there is a file \(name) by now") }
      let oldUser = old.map { _ in owner(of: name.last, in: place) }
      do throws(FileFailure) { try place.rename(temporary, to: name.last) } catch { throw refusal(error, name) }
      place.sync()
      if let old { accounts.release(old.size, of: oldUser ?? "") }
      completedCount.add(1, ordering: .relaxed)
      let version = ReadableFile.open(name.text, below: root)?.version ?? ""
      return StoredFile(name: name, size: size, version: version, isNew: old == nil)
    }
  }

  private func owner(of entry: String, in place: OpenFolder) -> String { (try? place.file(entry))?.attribute(Self.userAttribute) ?? "" }

  /// Removes one of the server's own files, and the folders that are empty then.
  internal func remove(_ entry: String, in place: OpenFolder, of name: FileName) {
    tree.withLock { _ in
      try? place.remove(entry)
      removeEmptyFolders(above: name)
    }
  }

  private func removeEmptyFolders(above name: FileName) {
    var path = name.folder
    while !path.isEmpty {
      folder.removeFolder(path)
      path = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ""
    }
  }

  internal func forget(_ upload: UnfinishedUpload) {
    registry.withLock { registry in
      if registry.uploads[upload.name.text] === upload { registry.uploads[upload.name.text] = nil }
    }
  }

  internal func remember(_ part: CompletedPart, of name: FileName) {
    registry.withLock { registry in
      if registry.completed.updateValue(part, forKey: name.text) == nil { registry.order.append(name.text) }
      while registry.order.count > Self.remembered, let oldest = registry.order.popFirst() { registry.completed[oldest] = nil }
    }
  }

  internal func lastPart(of name: FileName) -> CompletedPart? { registry.withLock { $0.completed[name.text] } }

  // MARK: Looking

  package struct Found: Sendable {
    package let file: ReadableFile?
    package let upload: UploadStatus?
  }

  package func look(_ name: FileName) -> Found {
    Found(file: ReadableFile.open(name.text, below: root), upload: find(name)?.status)
  }

  private func find(_ name: FileName) -> UnfinishedUpload? { registry.withLock { $0.uploads[name.text] } }

  private var allUploads: [UnfinishedUpload] { registry.withLock { Array($0.uploads.values) } }

  package static let typeAttribute = "mime_type"
  package static let userAttribute = "martlet.user"

  package struct Listed: Sendable {
    package let name: String
    package let size: Int
    package let modified: WallTime
  }

  /// Finished files by name.
  /// - Parameters:
  ///   - prefix: of their names.
  ///   - after: the name behind which to begin.
  package func list(prefix: String, after: String, limit: Int) -> [Listed] {
    var result: [Listed] = []
    list("", 0, prefix, after, limit, &result)
    return result
  }

  private func list(_ path: String, _ level: Int, _ prefix: String, _ after: String, _ limit: Int, _ result: inout [Listed]) {
    guard level <= configuration.depth, let place = try? folder.folder(path) else { return }
    // In the order of whole names, a folder's slash counts.
    let entries = place.names().filter { !$0.hasPrefix(".") }.compactMap { name in
      place.entry(name).map { (path.isEmpty ? name : path + "/" + name, $0) }
    }.sorted { ($0.1.isFolder ? $0.0 + "/" : $0.0) < ($1.1.isFolder ? $1.0 + "/" : $1.0) }
    for (name, entry) in entries where result.count < limit {
      if entry.isFolder {
        let inside = name + "/"
        if inside.hasPrefix(prefix) || prefix.hasPrefix(inside) { list(name, level + 1, prefix, after, limit, &result) }
      } else if name.hasPrefix(prefix), name > after {
        result.append(Listed(name: name, size: entry.size, modified: entry.modified))
      }
    }
  }

  package func listUploads(limit: Int) -> [UploadStatus] {
    Array(allUploads.compactMap(\.status).sorted { $0.name.text < $1.name.text }.prefix(limit))
  }

  // MARK: Removing

  /// - Returns: whether there was such a file, or an upload of one.
  package func remove(_ name: FileName) throws(HTTPError) -> Bool {
    let wasUpload = find(name)?.drop() ?? false
    if wasUpload { droppedCount.add(1, ordering: .relaxed) }
    let wasFile = try tree.withLock { _ throws(HTTPError) -> Bool in
      guard let place = try? folder.folder(name.folder), let entry = place.entry(name.last), !entry.isFolder else { return false }
      let user = owner(of: name.last, in: place)
      do throws(FileFailure) { try place.remove(name.last) } catch { throw refusal(error, name) }
      accounts.release(entry.size, of: user)
      removeEmptyFolders(above: name)
      return true
    }
    return wasUpload || wasFile
  }

  /// Drops the uploads that nothing came for since `files.expire`.
  package func expire() -> [UploadStatus] {
    let limit = WallTime(milliseconds: now.milliseconds - configuration.expire.milliseconds)
    return allUploads.compactMap { upload in
      guard let status = upload.status, upload.drop(before: limit) else { return nil }
      droppedCount.add(1, ordering: .relaxed)
      log(.info, "files", "the upload of \(status.name) rested too long (files.expire); \(status.ranges.count) bytes were dropped")
      return status
    }
  }

  // MARK: Start

  /// Counts what is there, takes up unfinished uploads, and removes what a killed server left of others.
  private func scan(_ path: String, _ level: Int) {
    guard level <= 64, let place = try? folder.folder(path) else { return }
    for name in place.names() {
      guard let entry = place.entry(name) else { continue }
      if entry.isFolder {
        if !name.hasPrefix(".") { scan(path.isEmpty ? name : path + "/" + name, level + 1) }
      } else if !name.hasPrefix(".") {
        accounts.add(entry.size, of: owner(of: name, in: place))
      } else if let upload = FileName.name(ofState: name, in: path) {
        restore(upload, in: place)
      }
    }
    let kept = Set(allUploads.filter { $0.name.folder == path }.flatMap { [$0.name.partName, $0.name.stateName] })
    for name in place.names() where name.hasPrefix(".") && name.contains(FileName.mark) && !kept.contains(name) {
      try? place.remove(name)
    }
  }

  private func restore(_ name: FileName, in place: OpenFolder) {
    guard let file = try? place.file(name.partName), let bytes = try? place.file(name.stateName).read(limit: UploadRecord.maximumBytes),
      let (restored, user) = UploadRecord.read(bytes, available: file.size)
    else { return }
    var state = restored
    state.reserved = max(state.length ?? 0, state.ranges.end)
    accounts.add(state.reserved, of: user)
    let upload = UnfinishedUpload(name, user: user, state, place, file, self)
    registry.withLock { $0.uploads[name.text] = upload }
  }
}
