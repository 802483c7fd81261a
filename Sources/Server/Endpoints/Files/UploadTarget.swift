package import MartletHTTP
package import MartletPrimitives

/// A finished file.
package struct StoredFile: Sendable, Equatable {
  package let name: FileName
  /// Bytes.
  package let size: Int
  /// For its entity tag.
  package let version: String
  /// There was no file of this name.
  package let isNew: Bool
}

/// What has arrived of an unfinished upload.
package struct UploadStatus: Sendable, Equatable {
  package let name: FileName
  package let user: String
  /// `nil` while nobody said.
  package let length: Int?
  package let ranges: ByteRangeSet
  package let expires: WallTime
  /// As a tus client gave it.
  package let metadata: String

  /// Bytes from the first one on.
  package var offset: Int { ranges.contiguous }
}

package enum UploadOutcome: Sendable, Equatable {
  case complete(StoredFile)
  case partial(UploadStatus)
}

/// Where a request's content goes. Everything blocks; one call at a time.
package protocol UploadTarget: AnyObject, Sendable {
  var name: FileName { get }
  func write(_ bytes: [Slice]) throws(HTTPError)
  /// The content is complete.
  func finish() throws(HTTPError) -> UploadOutcome
  /// The content will not be complete: the client left, or was refused.
  func abandon()
  /// Bytes that have arrived, of how many, for those who watch.
  var progress: (received: Int, length: Int?) { get }
}

/// What a request says of its content.
package struct UploadTerms: Sendable {
  package var user = ""
  /// `Content-Length`; `nil` when it is not known.
  package var contentLength: Int?
  package var contentType = ""
  /// Of this content.
  package var contentDigest: DigestField?
  /// Of the whole file.
  package var fileDigest: DigestField?
  /// `If-None-Match: *`
  package var mustBeNew = false
  package init() {}
}
