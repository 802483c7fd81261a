internal import MartletCrypto
internal import MartletHTTP
internal import MartletIO
internal import MartletPrimitives
internal import Synchronization

/// A file that comes in parts, from any number of requests on any worker. It is shared by them and knows what has arrived;
/// its state stands on the disk beside its bytes, and outlives the server. Everything blocks.
internal final class UnfinishedUpload: Sendable {
  internal struct State {
    var length: Int?
    var ranges = ByteRangeSet()
    /// Of the quota.
    var reserved = 0
    var digest: DigestField?
    var contentType = ""
    var metadata = ""
    /// Requests that write now, and where to.
    var writers: [Int: Range<Int>] = [:]
    var active: WallTime
    /// Bytes since the state was last put on the disk.
    var unsaved = 0
    var isOver = false
    /// It is over because all of it arrived.
    var stored: StoredFile?
  }

  /// What a request asks for.
  internal struct Join {
    var range: Range<Int>
    var length: Int?
    var user: String
    /// What arrives counts when the digest was right, not before.
    var isChecked: Bool
    var fileDigest: DigestField?
  }

  internal let name: FileName
  internal let user: String
  internal let store: FileStore
  private let folder: OpenFolder
  private let file: WritableFile
  private let state: Mutex<State>
  /// Bytes after which the state is put on the disk in the middle of a part.
  private static let saveInterval = 16 << 20
  private static let writerLimit = 64

  internal init(_ name: FileName, user: String, _ state: State, _ folder: OpenFolder, _ file: WritableFile, _ store: FileStore) {
    self.name = name
    self.user = user
    self.store = store
    self.folder = folder
    self.file = file
    let initial = state
    self.state = Mutex(initial)
  }

  internal var status: UploadStatus? {
    state.withLock { state in state.isOver ? nil : status(state) }
  }

  private func status(_ state: State) -> UploadStatus {
    let expires = WallTime(milliseconds: state.active.milliseconds + store.configuration.expire.milliseconds)
    return UploadStatus(
      name: name, user: user, length: state.length, ranges: state.ranges, expires: expires, metadata: state.metadata)
  }

  internal var received: (Int, Int?) { state.withLock { ($0.ranges.count, $0.length) } }

  private func locked<R: Sendable>(_ body: (inout State) throws(HTTPError) -> R) throws(HTTPError) -> R {
    try state.withLock { state throws(HTTPError) -> R in try body(&state) }
  }

  // MARK: Joining

  /// - Returns: false when the upload ended before: another one may begin.
  internal func join(_ id: Int, _ join: Join) throws(HTTPError) -> Bool {
    try locked { state throws(HTTPError) in
      guard !state.isOver else { return false }
      try check(join, state)
      try settle(length: join.length ?? state.length, atLeast: join.range.upperBound, &state)
      // The newer request of two that write the same place is the retry.
      state.writers = state.writers.filter { !$0.value.overlaps(join.range) }
      state.writers[id] = join.range
      if join.isChecked { state.ranges.remove(join.range) }
      if let digest = join.fileDigest { state.digest = digest }
      state.active = store.now
      return true
    }
  }

  private func check(_ join: Join, _ state: State) throws(HTTPError) {
    guard join.user == user else { throw HTTPError(.conflict, "\(name) is being uploaded by somebody else") }
    if let length = state.length, let other = join.length, length != other {
      throw HTTPError(.conflict, "\(name) is being uploaded with \(length) bytes, not \(other); DELETE it to begin anew")
    }
    if let length = state.length ?? join.length, max(join.range.upperBound, state.ranges.end) > length {
      throw HTTPError(.conflict, "\(max(join.range.upperBound, state.ranges.end)) bytes of \(name) do not fit into \(length)")
    }
    if let digest = state.digest, let other = join.fileDigest, digest.algorithm == other.algorithm, digest != other {
      throw HTTPError(.conflict, "\(name) is being uploaded with another Repr-Digest; DELETE it to begin anew")
    }
    guard state.ranges.ranges.count + state.writers.count < store.configuration.pieces else {
      throw HTTPError(.badRequest, "the parts leave too many gaps (files.pieces); send those that fill them first")
    }
    guard state.writers.count < Self.writerLimit else { throw HTTPError(.tooManyRequests, "too many parts of \(name) come at once") }
  }

  private func settle(length: Int?, atLeast end: Int, _ state: inout State) throws(HTTPError) {
    let need = max(length ?? end, state.reserved)
    guard need <= store.configuration.maximumBytes else { throw store.tooLarge }
    try store.accounts.reserve(need - state.reserved, for: user)
    state.reserved = need
    state.length = length
  }

  // MARK: Writing

  internal func write(_ id: Int, _ bytes: Slice, at offset: Int, isChecked: Bool) throws(HTTPError) {
    try locked { state throws(HTTPError) in
      // A retry's bytes, which another request brought.
      if state.stored != nil { return }
      guard !state.isOver else { throw HTTPError(.gone, "the upload of \(name) was removed") }
      guard state.writers[id] != nil else { throw HTTPError(.conflict, "another request sends the same part of \(name)") }
      do throws(FileFailure) { try file.write(bytes, at: offset) } catch { throw store.refusal(error, name) }
      store.received.add(bytes.count, ordering: .relaxed)
      state.active = store.now
      guard !isChecked else { return }
      state.ranges.insert(offset..<offset + bytes.count)
      state.unsaved += bytes.count
      if state.unsaved >= Self.saveInterval { save(&state) }
    }
  }

  /// The part is complete, and right.
  /// - Parameter fingerprint: of its content; `nil` for a client that asks before it repeats itself.
  internal func finish(_ id: Int, _ range: Range<Int>, _ fingerprint: [UInt8]?) throws(HTTPError) -> UploadOutcome {
    let (outcome, isOver) = try locked { state throws(HTTPError) -> (UploadOutcome, Bool) in
      // Bytes count when they are written; another part that was complete at once may have been the last.
      if let stored = state.stored {
        return (.complete(StoredFile(name: name, size: stored.size, version: stored.version, isNew: false)), false)
      }
      guard !state.isOver else { throw HTTPError(.gone, "the upload of \(name) was removed") }
      guard state.writers.removeValue(forKey: id) != nil else {
        throw HTTPError(.conflict, "another request sends the same part of \(name)")
      }
      state.ranges.insert(range)
      guard let length = state.length, state.ranges.isComplete(length) else {
        if let stored = repeats(range, fingerprint, state) {
          end(&state)
          return (.complete(stored), true)
        }
        save(&state)
        return (.partial(status(state)), false)
      }
      let stored = try complete(&state, length)
      if let fingerprint {
        store.remember(.init(range: range, length: length, fingerprint: fingerprint, version: stored.version), of: name)
      }
      return (.complete(stored), true)
    }
    if isOver { store.forget(self) }
    return outcome
  }

  /// The answer to the last part was lost, and the part came again: it is the file's, not the first of a new upload.
  private func repeats(_ range: Range<Int>, _ fingerprint: [UInt8]?, _ state: State) -> StoredFile? {
    guard let last = store.lastPart(of: name), last.range == range, last.length == state.length, last.fingerprint == fingerprint,
      state.ranges.ranges == [range], state.writers.isEmpty, let file = ReadableFile.open(name.text, below: store.root),
      file.version == last.version
    else { return nil }
    return StoredFile(name: name, size: file.size, version: file.version, isNew: false)
  }

  /// The request ended otherwise; what arrived stays.
  internal func leave(_ id: Int) {
    state.withLock { state in
      guard !state.isOver, state.writers.removeValue(forKey: id) != nil else { return }
      save(&state)
    }
  }

  private func complete(_ state: inout State, _ length: Int) throws(HTTPError) -> StoredFile {
    var terms = UploadTerms()
    (terms.user, terms.contentType) = (user, state.contentType)
    do throws(HTTPError) {
      if let digest = state.digest { try verify(digest) }
      let stored = try store.commit(file, name.partName, in: folder, as: name, terms, size: length)
      try? folder.remove(name.stateName)
      (state.isOver, state.reserved, state.stored) = (true, 0, stored)
      return stored
    } catch {
      if error.status == .badRequest { end(&state) } else { save(&state) }
      throw error
    }
  }

  private func verify(_ digest: DigestField) throws(HTTPError) {
    let running = RunningDigest(digest.algorithm)
    do throws(FileFailure) { try file.readAll { running.update($0) } } catch { throw store.refusal(error, name) }
    guard Digest.equal(running.finish(), digest.value) else {
      throw HTTPError(.badRequest, "\(name) is not what its Repr-Digest says; nothing was kept")
    }
  }

  // MARK: Ending

  /// - Parameter before: only when nothing came since.
  /// - Returns: false when it goes on, or was over.
  internal func drop(before limit: WallTime? = nil) -> Bool {
    let isDropped = state.withLock { state in
      guard !state.isOver else { return false }
      if let limit { guard state.writers.isEmpty, state.active < limit else { return false } }
      end(&state)
      return true
    }
    if isDropped { store.forget(self) }
    return isDropped
  }

  /// The request that began it was refused.
  internal func dropIfEmpty() {
    let isDropped = state.withLock { state in
      guard !state.isOver, state.writers.isEmpty, state.reserved == 0, state.ranges.ranges.isEmpty else { return false }
      end(&state)
      return true
    }
    if isDropped { store.forget(self) }
  }

  internal var isOver: Bool { state.withLock { $0.isOver } }

  private func end(_ state: inout State) {
    state.isOver = true
    store.remove(name.stateName, in: folder, of: name)
    store.remove(name.partName, in: folder, of: name)
    store.accounts.release(exchange(&state.reserved, with: 0), of: user)
  }

  // MARK: On the disk

  /// What is said to have arrived is on the disk before it is said.
  private func save(_ state: inout State) {
    state.unsaved = 0
    do throws(FileFailure) {
      try file.syncData()
      try write(state)
    } catch { store.log(.error, "files", "the state of the upload \(name) cannot be kept: \(error)") }
  }

  internal func save() { state.withLock { save(&$0) } }

  private func write(_ state: State) throws(FileFailure) {
    let temporary = name.stateName + ".new"
    try? folder.remove(temporary)
    let target = try folder.create(temporary)
    do throws(FileFailure) {
      try target.write(Slice(UploadRecord.write(state, user: user)), at: 0)
      try target.syncData()
      try folder.rename(temporary, to: name.stateName)
    } catch {
      try? folder.remove(temporary)
      throw error
    }
  }
}
