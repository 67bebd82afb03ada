// Original file: proto/envoy/type/v3/http_status.proto


export type StatusCode =
  | 'Empty'
  | 0
  | 'BadRequest'
  | 400
  | 'Unauthorized'
  | 401
  | 'Forbidden'
  | 403
  | 'TooManyRequests'
  | 429
  | 'ServiceUnavailable'
  | 503

export type StatusCode__Output = Exclude<StatusCode, number> | number
