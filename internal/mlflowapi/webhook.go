package mlflowapi

// WebhookStatus says whether a webhook is told anything.
type WebhookStatus string

// WebhookEntity is what an event is about.
type WebhookEntity string

// WebhookAction is what happened to it.
type WebhookAction string

func (WebhookStatus) numbers() map[string]int32 {
	return map[string]int32{"ACTIVE": 1, "DISABLED": 2}
}

func (WebhookEntity) numbers() map[string]int32 {
	return map[string]int32{
		"ENTITY_UNSPECIFIED": 0, "REGISTERED_MODEL": 1, "MODEL_VERSION": 2, "MODEL_VERSION_TAG": 3, "MODEL_VERSION_ALIAS": 4,
		"PROMPT": 5, "PROMPT_VERSION": 6, "PROMPT_TAG": 7, "PROMPT_VERSION_TAG": 8, "PROMPT_ALIAS": 9, "BUDGET_POLICY": 10,
	}
}

func (WebhookAction) numbers() map[string]int32 {
	return map[string]int32{"ACTION_UNSPECIFIED": 0, "CREATED": 1, "UPDATED": 2, "DELETED": 3, "SET": 4, "EXCEEDED": 5}
}

// WebhookEvent is what a webhook is told of.
type WebhookEvent struct {
	Entity WebhookEntity `json:"entity" api:"required"`
	Action WebhookAction `json:"action" api:"required"`
}

// Webhook is a receiver of events. Its secret is not among what is sent.
type Webhook struct {
	WebhookID            string         `json:"webhook_id"`
	Name                 string         `json:"name"`
	Description          string         `json:"description,omitempty"`
	URL                  string         `json:"url"`
	Events               []WebhookEvent `json:"events"`
	Status               WebhookStatus  `json:"status"`
	CreationTimestamp    int64          `json:"creation_timestamp"`
	LastUpdatedTimestamp int64          `json:"last_updated_timestamp"`
}

// CreateWebhook is the request of POST webhooks.
type CreateWebhook struct {
	Name        string         `json:"name" api:"required"`
	Description string         `json:"description,omitempty"`
	URL         string         `json:"url" api:"required"`
	Events      []WebhookEvent `json:"events" api:"required"`
	Secret      string         `json:"secret,omitempty"`
	Status      WebhookStatus  `json:"status,omitempty"`
}

// WebhookResponse answers the requests that return one webhook.
type WebhookResponse struct {
	Webhook Webhook `json:"webhook"`
}

// ListWebhooks is the request of GET webhooks.
type ListWebhooks struct {
	MaxResults int64  `json:"max_results,omitempty"`
	PageToken  string `json:"page_token,omitempty"`
}

// ListWebhooksResponse answers it.
type ListWebhooksResponse struct {
	Webhooks      []Webhook `json:"webhooks,omitempty"`
	NextPageToken string    `json:"next_page_token,omitempty"`
}

// WebhookID is the request of GET and DELETE webhooks/{webhook_id}.
type WebhookID struct {
	WebhookID string `json:"webhook_id,omitempty"` // also in the path
}

// UpdateWebhook is the request of PATCH webhooks/{webhook_id}. An absent field
// stays as it is, and so do the name, the URL and the events when they are
// empty.
type UpdateWebhook struct {
	Name        string         `json:"name,omitempty"`
	Description *string        `json:"description,omitempty"`
	URL         string         `json:"url,omitempty"`
	Events      []WebhookEvent `json:"events,omitempty"`
	Secret      *string        `json:"secret,omitempty"`
	Status      *WebhookStatus `json:"status,omitempty"`
}

// TestWebhook is the request of POST webhooks/{webhook_id}/test.
type TestWebhook struct {
	Event *WebhookEvent `json:"event,omitempty"`
}

// TestWebhookResponse answers it.
type TestWebhookResponse struct {
	Result WebhookTestResult `json:"result"`
}

// WebhookTestResult is how a test ended.
type WebhookTestResult struct {
	Success        bool   `json:"success"`
	ResponseStatus int64  `json:"response_status,omitempty"`
	ResponseBody   string `json:"response_body,omitempty"`
	ErrorMessage   string `json:"error_message,omitempty"`
}
